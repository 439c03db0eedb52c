"""The runs of a program: identity, D in whole steps, options, words, resources."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scaling import ProgramSpec, read_spec
from scaling.programs import content
from sweeps.design import design
from sweeps.document import Document
from sweeps.expansion import expand
from sweeps.programs import changed_code
from sweeps.sweep import Sweep
from sweeps.warnings import design_warnings

FIXED = "num_tokens: 1e6"
NAME = "name: x\n"
GRID = "grid: {product: {width: [32, 64]}}"


def test_a_run_is_its_options_command_code_and_data(specs, trainer):
    first = specs()
    assert [spec.options for spec in first] == [{"width": 32}, {"width": 64}]
    assert first[0].program.code == content(trainer).digest
    assert first[0].program.command == ("python", "train.py", "--dim", "{width}")
    ids = {spec.run_id for spec in first}
    same = specs((NAME, "name: y\n"), ("code: {path: trainer}", "code: trainer"))
    assert {spec.run_id for spec in same} == ids
    counted = specs(("12*width**2", "12*width**2 + 1"), ("  code:", "  name: mine\n  code:"))
    assert {spec.run_id for spec in counted} == ids and counted[0].family == "mine"
    for change in (
        ("--dim", "--width"),
        (FIXED, f"{FIXED}, lr: 1"),
        (FIXED, "num_tokens: 2e6"),
        ("1024", "512"),
        (NAME, f"{NAME}data: {{name: c4, version: '1'}}\n"),
        (NAME, f"{NAME}seeds: [1]\n"),
        ("{path: trainer}", '{path: trainer, version: "1"}'),
        ("  code:", "  reports: {stdout: 'loss (?P<loss>.*)'}\n  code:"),
        ("  code:", "  env: {A: b}\n  code:"),
    ):
        assert not ids & {spec.run_id for spec in specs(change)}, change
    stop = specs(("  code:", "  stop: {signal: SIGINT, silent_minutes: 9}\n  code:"))
    assert {spec.run_id for spec in stop} == ids
    (trainer / "lib.py").write_text("changed")
    assert not ids & {spec.run_id for spec in specs()}


def test_a_version_stands_for_the_content(specs, trainer):
    change = ("{path: trainer}", '{path: trainer, version: "1.2"}')
    before = specs(change)
    assert before[0].program.code == "version:1.2"
    (trainer / "lib.py").write_text("changed")
    assert specs(change) == before


def test_the_launcher_learns_how_to_stop_and_where_code_lies(expansion, trainer):
    stop = "  stop: {signal: SIGUSR1, grace_seconds: 20, silent_minutes: 5}\n  code:"
    sweep = expansion(("  code:", stop), (NAME, f"{NAME}resources: {{threads: 2}}\n")).sweep
    assert sweep.resources == {
        "threads": 2,
        "stop_signal": "SIGUSR1",
        "stop_seconds": 20,
        "silent_minutes": 5,
        "code": str(trainer.resolve()),
    }


def test_d_is_whole_steps_however_it_is_asked_for(specs):
    for option, wanted in (
        ("num_tokens: 1e6", 1e6),
        ("tokens_per_param: 50", 50 * 12 * 32**2),
        ("flops: 1e11", 1e11 / (72 * 32**2)),
    ):
        spec = specs((FIXED, option))[0]
        assert spec.num_tokens % 1024 == 0 and abs(spec.num_tokens - wanted) <= 512
        assert spec.num_steps == spec.num_tokens // 1024
    formula = specs(("1024", "batch * context"), (FIXED, f"{FIXED}, batch: 8, context: 64"))
    assert formula[0].tokens_per_step == 512
    unknown = specs(("  tokens_per_step: 1024\n", ""), (FIXED, "num_tokens: 1234567.4"))[0]
    assert (unknown.num_tokens, unknown.tokens_per_step) == (1234567, 0)


def test_budgets_of_an_isoflop_are_kept_and_constraints_drop(expansion):
    found = expansion(
        ("grid: {product: {width: [32, 64]}}",
         "isoflop: {budgets: [1e10, 1e11], sizes: {width: [32, 64, 512]}}"),
        (f"fixed: {{{FIXED}}}", "constraints: {steps: {min: 10}}"),
    )  # fmt: skip
    assert len(found.sweep) == 4
    assert "2 runs left out: steps below the min 10" in str(found.left_out[0])
    for entry in found.sweep:
        assert entry.spec.flops == pytest.approx(found.budgets[entry.run_id], rel=0.1)


def test_rules_derive_options_of_any_name(specs):
    rules = """\
derive:
  depth: {rule: aspect, scale: 16}
  learning_rate: {rule: step-law, as: lr}
  wd: {rule: power, of: num_tokens, exponent: -0.5, scale: 100}
"""
    counts = "{num_params: 12*depth*width**2, num_params_non_embedding: num_params}"
    spec = specs((NAME, NAME + rules), ("{num_params: 12*width**2}", counts))[0]
    n, d = spec.counts.num_params, 1e6
    assert n == 12 * 2 * 32**2 and spec.options["depth"] == 2
    assert spec.options["learning_rate"] == pytest.approx(1.79 * n**-0.713 * d**0.307)
    assert spec.options["wd"] == pytest.approx(100 * d**-0.5)


def test_the_options_of_runs_from_a_table_are_numbers(specs, trainer):
    table = "num_params,num_tokens,lr,kind\n1e4,1e6,0.01,cosine\n2e4,2e6,3,linear\n"
    (trainer.parent / "plan.csv").write_text(table)
    found = specs(
        ("{num_params: 12*width**2}", "{num_params: 12*width**2, size: {option: width}}"),
        (GRID, "runs: {file: plan.csv, columns: [lr, kind]}"),
    )
    assert [spec.options["lr"] for spec in found] == [0.01, 3]
    assert [spec.options["kind"] for spec in found] == ["cosine", "linear"]


def test_a_run_without_a_value_for_a_word_is_refused(specs):
    rows = ("grid: {product: {width: [32, 64]}}", "runs: [{width: 8, lr: 1}, {width: 16}]")
    with pytest.raises(ValueError, match=r"yaml:3: run width=16: '{lr}': it sets no lr"):
        specs(rows, ("--dim", '--lr, "{lr}", --dim'))


def test_a_function_of_an_installed_package_counts_by_its_source(specs):
    change = ('command: [python, train.py, --dim, "{width}"]', "function: lazy_loader:attach")
    found = specs(change, ("  code: {path: trainer}\n", ""))
    assert found[0].program.function == "lazy_loader:attach"
    assert found[0].program.code.startswith("module:")
    short = specs(
        (NAME, f"{NAME}train: lib:run\n"),
        ('  command: [python, train.py, --dim, "{width}"]\n', ""),
    )
    assert short[0].program.function == "lib:run" and len(short[0].program.code) == 16


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.dictionaries(st.from_regex(r"opt_[a-z]{1,4}", fullmatch=True), VALUES, max_size=3))
@hypothesis_settings(max_examples=40)
def test_any_plain_options_come_back_as_the_same_run(options):
    document = Document(
        {
            "name": "any",
            "program": {"command": ["trainer"], "counts": {"num_params": 10}},
            "fixed": {"num_tokens": 1000, **options},
            "runs": [{}],
        }
    )
    (spec,) = [entry.spec for entry in expand(design(document)).sweep]
    assert isinstance(spec, ProgramSpec)
    again = read_spec(json.loads(json.dumps(spec.to_dict())))
    assert again.run_id == spec.run_id and again.options.keys() == options.keys()


def test_what_no_word_says_is_warned_of(expansion):
    def warned(*changes):
        sweep = expansion(*changes).sweep
        return " | ".join(w for w in design_warnings(sweep) if "program" in w)

    lrs = ("width: [32, 64]", "width: [32, 64], opt.lr: [0.1, 0.2]")
    assert warned() == ""
    assert warned(lrs) == "the program sees opt.lr only as $SCALING_OPTION_OPT_LR"
    assert warned(lrs, ("--dim", '"opt={opt.lr}"')) == ""
    assert warned(lrs, ("--dim", '"{options_file}"')) == ""
    assert warned(lrs, ("  code:", '  env: {LR: "{opt.lr}"}\n  code:')) == ""
    assert "seed only as $SCALING_SEED" in warned((NAME, f"{NAME}seeds: [0, 1]\n"))
    sizes = ((FIXED, "x: 1"), ("width: [32, 64]", "width: [32, 64], num_tokens: [1e6, 2e6]"))
    assert "D differs between runs" in warned(*sizes)
    assert warned(*sizes, ("--dim", '"{num_steps}"')) == ""
    assert "no code is named" in warned(("  code: {path: trainer}\n", ""), ("train.py", "/t.py"))


def test_code_that_changed_since_submission_is_said(expansion, trainer):
    root = trainer.parent / "store"
    first = expansion().sweep
    assert changed_code(first, root) == ""
    first.write(root / "sweeps" / "x" / "sweep.jsonl")
    assert changed_code(first, root) == ""
    assert changed_code(Sweep.read(root / "sweeps" / "x" / "sweep.jsonl"), root) == ""
    (trainer / "lib.py").write_text("changed")
    said = changed_code(expansion().sweep, root)
    assert "2 of 2 runs are new" in said and first.entries[0].spec.program.code in said
    assert changed_code(replace(first, name="other"), root) == ""
