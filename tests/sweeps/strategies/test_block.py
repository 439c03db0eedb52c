"""The ``strategy`` of a sweep file: what it means, and what is refused in one line."""

from __future__ import annotations

import pytest

from scaling.cli import main
from sweeps import load_sweep

FILE = """\
name: s
data: teacher:features=4,examples=256
family: mlp
fixed: {num_examples: 640, batch_size: 16, schedule: wsd}
design_space:
  space:
    parameters:
      width: {log: [4, 24], multiple_of: 4}
      depth: {uniform: [1, 4], multiple_of: 1}
      lr: {log: [0.001, 1.0]}
strategy:
  kind: evolution
  budget: 1.0e+8
"""


@pytest.fixture
def write(tmp_path):
    def make(*changes):
        text = FILE
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return path

    return make


def test_the_first_run_is_shown_and_how_many_there_will_be(write, home, capsys):
    assert main(["sweep", str(write())]) == 0
    out = capsys.readouterr().out
    assert "evolution-0000" in out
    assert "evolution over continuously many points: about " in out


def test_the_expected_number_is_the_budget_over_the_mean_cost(write, home):
    """Random search ends near it; ASHA's rungs cost 1, 1/2, 1/4 as many of twice the data."""
    from sweeps import Done, Ended, next_run
    from sweeps.load import preview

    for kind in ("random", "asha"):
        expansion, _ = preview(write(("kind: evolution", f"kind: {kind}")))
        sweep, ended = expansion.sweep, {}
        while not isinstance(sweep, Done):
            last, ended = sweep, {e.run_id: Ended(1.0 + i, i) for i, e in enumerate(sweep)}
            sweep = next_run(last, ended)
        assert len(last) == pytest.approx(expansion.search.runs, rel=0.35)


def test_the_same_file_gives_the_same_first_run_and_another_seed_another(write, home):
    one, same, other = (
        load_sweep(write(("kind: evolution", f"kind: evolution\n  seed: {seed}"))).entries[0].run_id
        for seed in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind: evolution", "kind: evolutoin"), "s.yaml:12: unknown strategy 'evolutoin'"),
        (("  budget: 1.0e+8\n", ""), "strategy has no budget: give kind and budget"),
        (("budget: 1.0e+8", "budget: many"), "budget must be a number"),
        (("budget: 1.0e+8", "budget: 1.0e+3"), "nothing to do: the next run takes"),
        (("budget: 1.0e+8", "budget: 1.0e+8\n  population: 0"), "population 0 is below 1"),
        (("budget: 1.0e+8", "budget: 1.0e+8\n  rungs: 2"), "unknown key 'rungs'"),
        (("kind: evolution", "kind: evolution\n  seed: 0.5"), "seed 0.5 is not a whole number"),
        (("design_space:", "grid:"), "a strategy searches a design_space"),
        (("strategy:", "seeds: [0, 1]\nstrategy:"), "a search trains each point once"),
        (("strategy:", "constraints: {num_params: {max: 10}}\nstrategy:"), "bound a space by"),
        (("  space:", "  models: 4\n  space:"), "unknown key 'models'"),
        (("num_examples: 640,", "num_examples: 640, width: 8,"), "width is fixed and searched"),
        (("  space:", "  ranges: {num_params: [1, 2]}\n  space:"), "no point of the space fits"),
        (("lr: {log", "lrr: {log"), "unknown option 'lrr'"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(change, says, write, home, capsys):
    assert main(["sweep", str(write(change))]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told
    assert "\n" not in told


PROGRAM = (
    "family: mlp",
    "program:\n  command: [python, -c, 'print({width}, {depth}, {lr})']\n"
    "  counts: {num_params: 8 * width}\n  tokens_per_step: 16\n  reports: {stdout: '(?P<loss>.+)'}",
)
PROGRAM_DATA = ("data: teacher:features=4,examples=256\n", "")
PROGRAM_FIXED = ("num_examples: 640, batch_size: 16, schedule: wsd", "num_tokens: 640")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind: evolution", "kind: asha"), "nobody knows what a program's share: take random"),
        (
            ("  space:", "  ranges: {macs_forward: [1, 2]}\n  space:"),
            "num_params is known, not macs",
        ),
        (("  space:", "  ranges: {num_params: [1, 2]}\n  space:"), "no point of the space fits"),
        (("{num_params: 8 * width}", "{command: [python, x.py]}"), "give formulas or a family"),
        (("8 * width", "8 * wdth"), "wdth"),
    ],
)
def test_what_is_refused_of_a_program(change, says, write, home, capsys):
    assert main(["sweep", str(write(PROGRAM, PROGRAM_DATA, PROGRAM_FIXED))]) == 0
    capsys.readouterr()
    assert main(["sweep", str(write(PROGRAM, PROGRAM_DATA, PROGRAM_FIXED, change))]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told
    assert "\n" not in told


def test_a_space_of_one_point_and_a_budget_beyond_all_points(write, home, capsys):
    small = [
        ("      width: {log: [4, 24], multiple_of: 4}\n", ""),
        ("      lr: {log: [0.001, 1.0]}\n", ""),
        ("schedule: wsd", "schedule: wsd, lr: 0.01"),
    ]
    beyond = write(*small, ("1.0e+8", "1.0e+11"))
    assert main(["sweep", str(beyond)]) == 2
    assert "cannot be used: all 4 points of the space together take" in capsys.readouterr().err
    one = write(*small, ("[1, 4]", "[2, 2]"))
    assert main(["sweep", str(one)]) == 2
    assert "the space has one point, nothing to search" in capsys.readouterr().err


def test_promotions_need_a_constant_rate_and_a_data_size(write, home, capsys):
    kind = ("kind: evolution", "kind: asha")
    assert main(["sweep", str(write(kind, ("schedule: wsd", "schedule: cosine")))]) == 2
    assert "give schedule: wsd" in capsys.readouterr().err
    size = ("lr: {log: [0.001, 1.0]}", "num_examples: {choices: [640, 1280]}")
    lr = ("num_examples: 640, batch", "lr: 0.01, batch")
    assert main(["sweep", str(write(kind, lr, size))]) == 2
    assert "asha sets D by rung: give one of num_tokens" in capsys.readouterr().err
