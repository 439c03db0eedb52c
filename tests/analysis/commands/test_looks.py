"""Every kind of figure in a journal's column and on slides, and the numbers behind it."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.commands.plot import KINDS
from tests.analysis.designs.test_scaling_axes import axis_runs, search_runs
from tests.analysis.designs.test_searches import SEARCHES, ladder

ELSEWHERE = {"curves": "tests/analysis/plotting/test_curves.py", "context": "test_context.py"}
MORE = {"scaling": ("--bootstrap", 0), "ranks": ("--by", "width")}


def profiles():
    """Five sizes about the best one at each of four budgets."""
    budgets = [(c, n) for c in (1e15, 1e16, 1e17, 1e18) for n in (0.25, 0.5, 1.0, 2.0, 4.0)]
    rows = [(c, n * (c / 6) ** 0.5 / 4, c / 6 / (n * (c / 6) ** 0.5 / 4)) for c, n in budgets]
    runs = pd.DataFrame(rows, columns=["flops", "num_params", "num_tokens"])
    return runs.assign(loss=1.7 + 400 / runs.num_params**0.34 + 410 / runs.num_tokens**0.28)


@pytest.fixture
def source(table, tmp_path):
    """A table of which a kind of figure can be drawn."""

    def of(kind):
        made = {
            "compound": lambda: pd.concat(
                [axis_runs(noise=0.01), search_runs(noise=0.01).assign(loss=1.0)]
            ),
            "isoflop": profiles,
            "ranks": lambda: ladder(0.3),
            "search": lambda: SEARCHES,
            "edf": lambda: pd.read_csv(table).assign(space=["a", "b"] * 15, error=0.1),
        }
        if kind not in made:
            return table
        path = tmp_path / f"of-{kind}.csv"
        made[kind]().to_csv(path, index=False)
        return path

    return of


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - ELSEWHERE))
@pytest.mark.parametrize("style", ["paper", "slides"])
def test_every_kind_takes_style_width_and_size(scaling_command, source, tmp_path, kind, style):
    out = tmp_path / "out" / f"{kind}.svg"
    words = ["plot", source(kind), kind, "-o", out, "--style", style, "--width", "120mm"]
    code, _, err = scaling_command(*words, "--font-size", 9, "--data", *MORE.get(kind, ()))
    assert code == 0, err
    drawn = list(out.parent.glob("*.svg"))
    assert drawn
    for path in drawn:
        text = path.read_text()
        width = float(text.partition('width="')[2].partition("pt")[0])
        assert width / 72 == pytest.approx(120 / 25.4, rel=1e-3), path.name
        numbers = path.with_suffix(".csv")
        said = f"the numbers of {path}: scaling {kind} --json" in err
        assert said != numbers.exists(), err
        assert said or len(pd.read_csv(numbers))


def test_the_groups_of_a_column_of_whole_numbers_are_whole(scaling_command, table, tmp_path):
    runs = pd.read_csv(table)
    runs.assign(num_experts=[2.0, 4.0] * 15).to_csv(tmp_path / "moe.csv", index=False)
    out = tmp_path / "moe.svg"
    words = ("plot", tmp_path / "moe.csv", "scaling", "--x-col", "num_params", "--by")
    code, _, err = scaling_command(*words, "num_experts", "--bootstrap", 0, "-o", out, "--data")
    assert code == 0, err
    assert "2 and 4 cross" in err
    assert "2.0" not in set(pd.read_csv(out.with_suffix(".csv"))["series"])
