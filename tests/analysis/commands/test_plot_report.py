"""`scaling plot` and `scaling report`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def test_a_table_has_no_learning_curves(scaling_command, table, tmp_path):
    path = tmp_path / "curves.png"
    code, _, err = scaling_command("plot", table, "curves", "-o", path)
    assert code == 2 and not path.exists()
    assert "has no learning curves, only final losses: plot the kind frontier" in err


@pytest.mark.parametrize("kind", ["frontier", "scaling", "residuals", "plan"])
def test_plot(scaling_command, sweep, tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    code, out, err = scaling_command("plot", "demo", kind, "-o", path, "--bootstrap", 20)
    assert (code, out) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"written to {path}" in err


def test_report(scaling_command, sweep, tmp_path):
    path = tmp_path / "r.html"
    code, _, _ = scaling_command("report", "demo", "-o", path, "--bootstrap", 20)
    text = path.read_text(encoding="utf-8")
    assert code == 0
    assert "planned: not run yet" in text
    assert f"scaling report demo -o {path} --bootstrap 20" in text


@pytest.mark.parametrize("kind", ["profile", "cloud", "funnel"])
def test_certainty_is_drawn(scaling_command, table, tmp_path, kind):
    path = tmp_path / f"{kind}.svg"
    code, _, err = scaling_command(
        "plot", table, kind, "--where", "not excluded", "--bootstrap", 20, "-o", path
    )
    assert (code, path.exists()) == (0, True), err


def test_a_figure_is_as_wide_as_a_column_and_its_numbers_are_written(
    scaling_command, table, tmp_path
):
    path = tmp_path / "one" / "scaling.svg"
    code, _, err = scaling_command(
        "plot", table, "scaling", "-o", path, "--bootstrap", 0, "--where", "not excluded",
        "--width", "89mm", "--font-size", 7, "--data",
    )  # fmt: skip
    assert code == 0, err
    width = float(path.read_text().partition('width="')[2].partition("pt")[0])
    assert width / 72 == pytest.approx(89 / 25.4, rel=1e-3)
    numbers, runs = pd.read_csv(path.with_suffix(".csv")), pd.read_csv(table)
    runs = runs[~runs["excluded"]]
    points = numbers[numbers["kind"] == "points"]
    np.testing.assert_allclose(np.sort(points["y"]), np.sort(runs["val_loss"]))
    assert set(numbers[numbers["kind"] == "line"]["series"].str[:3]) == {"D ="}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--style", "film"), "there are paper and slides"),
        (("--width", "wide"), "write a length as 89mm"),
        (("--width", "1mm"), "a figure has 1 to 40"),
        (("--font-size", 100), "text has 4 to 60 points"),
    ],
)
def test_a_look_that_is_none_is_one_line(scaling_command, table, tmp_path, given, says):
    path = tmp_path / "a.png"
    code, _, err = scaling_command("plot", table, "scaling", "-o", path, *given)
    assert (code, len(err.strip().splitlines())) == (2, 1) and says in err


def report(scaling_command, tmp_path, *words):
    path = tmp_path / "r.html"
    code, _, err = scaling_command("report", *words, "-o", path, "--bootstrap", 0)
    assert code == 0, err
    return path.read_text(encoding="utf-8")


def test_two_sweeps_stand_side_by_side(scaling_command, sweep, planted_runs, tmp_path):
    few = tmp_path / "few runs.csv"
    planted_runs.assign(loss=1.1 * planted_runs["loss"]).iloc[:24].to_csv(few, index=False)
    text = report(scaling_command, tmp_path, "demo", few)
    assert "Side by side" in text and text.count('<h1 class="part"') == 2
    first = text[text.index("Sweeps side by side") :]
    first = first[: first.index("</table>")]
    assert "27 of 30" in first and "24 of 24" in first
    assert "3 of 30 runs have not finished" not in first
    code, _, err = scaling_command("report", "demo", "demo", "-o", tmp_path / "r.html")
    assert code == 2 and "a source is given twice" in err


def test_a_sweep_that_has_begun_has_a_report(scaling_command, planted_runs, tmp_path):
    """Two of thirty runs have ended: no law, and what was seen is said first."""
    begun = planted_runs.assign(status="planned", exclude_reason="planned: not run yet")
    begun.loc[:1, ["status", "exclude_reason"]] = ["done", ""]
    begun.loc[2:, "loss"] = np.nan
    begun.to_csv(tmp_path / "begun.csv", index=False)
    text = report(scaling_command, tmp_path, tmp_path / "begun.csv")
    assert "Of 2 runs with a result the best is" in text
    assert "28 of 30 runs have not finished" in text
    assert "What to train next" not in text and "every run was used" not in text


def test_runs_without_a_size_have_a_report(scaling_command, planted_runs, tmp_path):
    """As of a program that counts nothing: its options and losses."""
    runs = planted_runs[["run_id", "name", "loss", "status", "exclude_reason"]]
    runs.assign(width=planted_runs["num_params"] / 100).to_csv(tmp_path / "w.csv", index=False)
    text = report(scaling_command, tmp_path, tmp_path / "w.csv")
    assert "Of 30 runs with a result the best is" in text and "No law was fitted" in text
    text = report(scaling_command, tmp_path, tmp_path / "w.csv", "--x-col", "width")
    assert "Across 30 runs, loss falls as width grows" in text


def test_runs_of_one_size_have_no_law_unless_one_is_named(scaling_command, planted_runs, tmp_path):
    same = {name: planted_runs[name].iloc[0] for name in ("num_params", "num_tokens", "flops")}
    seeds = planted_runs.head(6).assign(**same, seed=range(6))
    seeds.to_csv(tmp_path / "seeds.csv", index=False)
    text = report(scaling_command, tmp_path, tmp_path / "seeds.csv")
    assert "Of 6 runs with a result the best is" in text and "Parameters of the law" not in text
    assert (
        "num_params and num_tokens have fewer than the three values" in text
        and "N* ∝ Cᵃ" not in text
    )
    named = report(scaling_command, tmp_path, tmp_path / "seeds.csv", "--law", "chinchilla")
    assert "Parameters of the law" in named
