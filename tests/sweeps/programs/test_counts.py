"""N and FLOPs by formulas, by a family, by a command; and sizes that are sought."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaling.base import Store, note_once
from scaling.families import TRANSFORMER, cached_cost
from sweeps.document import Document
from sweeps.programs.counted import Setting
from sweeps.programs.formulas import FormulaCounts

COUNTS = "{num_params: 12*width**2}"
GRID = "grid: {product: {width: [32, 64]}}"
WORD = '"{width}"'


def test_formulas_may_use_options_and_each_other(specs):
    found = specs(
        (
            COUNTS,
            "{flops_per_token: 6*num_params_non_embedding + 12*depth*width*ctx, num_params: "
            "num_params_non_embedding + 256*width, num_params_non_embedding: 12*depth*width^2, "
            "unit: example}",
        ),
        ("num_tokens: 1e6", "num_tokens: 1e6, depth: 2, ctx: 128"),
    )
    body = 12 * 2 * 32**2
    assert found[0].counts.to_dict() == {
        "num_params": body + 256 * 32,
        "flops_per_token": 6 * body + 12 * 2 * 32 * 128,
        "num_params_non_embedding": body,
        "unit": "example",
    }
    assert found[0].flops == found[0].counts.flops_per_token * found[0].num_tokens


def test_flops_are_six_n_where_nobody_says_and_that_is_said(specs, capsys):
    note_once.cache_clear()
    assert (
        specs() and "counts has no flops_per_token: it is 6*num_params" in capsys.readouterr().err
    )
    for spec in specs():
        assert spec.counts.num_params == 12 * spec.options["width"] ** 2
        assert spec.counts.flops_per_token == 6 * spec.counts.num_params
        assert spec.counts.num_params_non_embedding is None


def test_a_target_is_met_by_the_size_option(specs):
    sized = "{num_params: 12*depth*width**2, size: {option: width, multiple_of: 16}}"
    found = specs(
        (COUNTS, sized),
        (GRID, "grid: {product: {num_params: [1e5, 1e6, 1e7]}}\nderive: {depth: {rule: aspect, "
         "scale: 32}}"),
    )  # fmt: skip
    for spec, target in zip(found, (1e5, 1e6, 1e7), strict=True):
        width = spec.options["width"]
        assert width % 16 == 0 and spec.options["depth"] == max(1, round(width / 32))
        assert "num_params" not in spec.options

        def n(width):
            return 12 * max(1, round(width / 32)) * width**2

        assert spec.counts.num_params == n(width)
        best = min(range(16, 4096, 16), key=lambda w: max(n(w) / target, target / n(w)))
        assert width == best


@given(st.integers(1, 64), st.floats(1e3, 1e12), st.integers(1, 3))
@example(2, 25165836.0, 1)  # more than a million units
def test_the_size_found_is_the_nearest_multiple(step, target, power):
    keys = {"num_params": f"12*width**{power}", "size": {"option": "width", "multiple_of": step}}
    counting = FormulaCounts.read(Document(None), keys, ("counts",))
    setting = Setting(lambda options: options, None, (), Store.at("nowhere"))
    try:
        counted = counting.model({"num_params": target}, setting)
    except ValueError as error:
        assert "out of reach" in str(error)
        return
    units = counted.options["width"] // step

    def off(units):
        n = 12 * (units * step) ** power
        return max(n / target, target / n)

    assert counted.options["width"] == units * step
    assert off(units) <= min(off(u) for u in (units - 1, units + 1) if u >= 1)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ("{num_params: 12*width**2 + 1e6, size: {option: width}}", "is out of reach: the nearest"),
        ("{num_params: 12*width**2*heads, size: {option: width}}", "unknown name 'heads'"),
    ],
)
def test_a_target_out_of_reach_is_refused(specs, counts, said):
    with pytest.raises(ValueError, match=said):
        specs((COUNTS, counts), (GRID, "grid: {product: {num_params: [1e4]}}"))


def test_a_family_counts_the_options_that_it_knows(specs, info):
    family = (
        "{family: transformer, context: 64, vocab_size: 512, names: {depth: n_layer, width: n}}"
    )
    (spec, _) = specs(
        (COUNTS, family),
        (WORD, '"{n}", "{heads}"'),
        ("width: [32, 64]", "n: [32, 64]"),
        ("num_tokens: 1e6", "num_tokens: 1e6, n_layer: 2, lr: 0.1"),
    )
    config = TRANSFORMER.resolve({"depth": 2, "width": 32, "context": 64, "vocab_size": 512})
    cost = cached_cost(TRANSFORMER, config)
    assert spec.counts.num_params == cost.num_params
    assert spec.counts.flops_per_token == cost.flops_train
    assert spec.counts.num_params_non_embedding == cost.num_params_non_embedding
    assert spec.options == {"n_layer": 2, "lr": 0.1, "n": 32, "heads": config.heads}
    assert spec.family == "transformer"


def test_a_family_meets_a_target_and_says_its_shape(specs, info):
    changes = (
        (COUNTS, "{family: transformer}"),
        (WORD, '"{width}", "{depth}", --vocab, "{vocab_size}"'),
        (GRID, "ladder: {sizes: [1e5, 1e6], tokens_per_param: [10, 20]}"),
        ("fixed: {num_tokens: 1e6}", "data: corpus"),
    )
    found = specs(*changes, info=info)
    for spec in found:
        target = 1e5 if spec.num_params < 3e5 else 1e6
        config = TRANSFORMER.resolve({"num_params": target, "vocab_size": 256})
        assert spec.num_params == cached_cost(TRANSFORMER, config).num_params
        assert {k: spec.options[k] for k in ("width", "depth", "vocab_size")} == {
            "width": config.width,
            "depth": config.depth,
            "vocab_size": 256,
        }
        assert spec.data == {"name": "corpus", "fingerprint": "0123456789abcdef"}
        assert "heads" not in spec.options
    in_file = specs(changes[0], (WORD, '"{options_file}"'), *changes[2:], info=info)
    assert {"width", "depth", "heads", "mlp_width"} <= in_file[0].options.keys()
    assert "vocab_size" not in in_file[0].options


def test_shapes_that_scale_a_family_work_by_its_counts(specs):
    found = specs(
        (COUNTS, "{family: efficientnet, preset: b0, num_classes: 10}"),
        (WORD, '"{resolution}"'),
        (GRID, "compound: {phi: [0, 1]}"),
        ("num_tokens: 1e6", "num_examples: 1e6"),
    )
    assert [spec.counts.unit for spec in found] == ["example", "example"]
    assert found[0].options["resolution"] < found[1].options["resolution"]
    assert found[0].num_params < found[1].num_params
    search = "coefficient_search: {beta: [1], gamma: [1], alpha: {linear: [1, 2, 31]}, factor: 2}"
    changes = (
        (COUNTS, "{family: efficientnet, preset: b0, num_classes: 10}"),
        (GRID, search),
        ("num_tokens: 1e6", "num_examples: 1e6"),
    )
    apart = specs((WORD, '"{depths}", "{depth_multiplier}"'), *changes)
    rounded = specs((WORD, '"{depths}"'), *changes)
    assert len(rounded) == len({spec.num_params for spec in apart}) < len(apart)
    drawn = specs(
        (COUNTS, "{family: anynet}"),
        (WORD, '"{widths}"'),
        (GRID, "design_space: {space: anynetx-a, models: 3, ranges: {macs_forward: [1e7, 2e8]}}"),
        ("num_tokens: 1e6", "num_examples: 1e6"),
    )
    assert len({tuple(spec.options["widths"]) for spec in drawn}) == 3


SCRIPT = """
import json, sys
with open("asked.txt", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
width = int(sys.argv[1])
print("counting")
print(json.dumps({"num_params": width * 10, "flops_per_token": width * 61, "more": 1}))
"""


def test_a_command_counts_each_model_once(specs, trainer, expansion):
    (trainer / "count.py").write_text(SCRIPT)
    command = '{command: ["{python}", count.py, "{width}"], unit: example}'
    lrs = ("width: [32, 64]", "width: [32, 64], lr: [0.1, 0.2]")
    found = specs((COUNTS, command), lrs)
    assert [spec.num_params for spec in found] == [320, 320, 640, 640]
    assert found[0].counts.flops_per_token == 32 * 61 and found[0].counts.unit == "example"
    asked = trainer / "asked.txt"
    assert asked.read_text().split() == ["32", "64"]
    asked.unlink()
    assert specs((COUNTS, command), lrs) == found
    assert not asked.exists(), "what was said of this code is kept"
    kept = json.loads((trainer.parent / "store" / "programs" / "counts.json").read_text())
    assert len(kept) == 2
    (trainer / "train.py").write_text("changed")
    assert specs((COUNTS, command), lrs) != found
    assert asked.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print(12)", r"ends with '12', not with one JSON object"),
        ("", "ends with '', not with one JSON object"),
        ("raise SystemExit('no such model')", "fails with 1: no such model"),
        ("print('{\"num_params\": 0}')", "prints no counts: .*num_params 0 is not above 0"),
        ("print('{\"flops_per_token\": 2}')", "prints no counts: .*'num_params'"),
        ("import time; time.sleep(60)", r"gives no answer in 0.5 s: raise timeout_seconds"),
    ],
)
def test_a_command_that_does_not_count_is_refused(expansion, trainer, script, said):
    (trainer / "count.py").write_text(script)
    command = '{command: ["{python}", count.py], timeout_seconds: 0.5}'
    slow = "sleep" not in script
    with pytest.raises(ValueError, match=rf"sweep.yaml:5: run width=32: the counting .*{said}"):
        expansion((COUNTS, command.replace("0.5", "60") if slow else command))
