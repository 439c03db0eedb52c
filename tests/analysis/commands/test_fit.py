"""`scaling fit` as a reader with somebody's file meets it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest


def test_fit_prints_one_json_document(scaling_command, table):
    code, out, err = scaling_command(
        "fit", table, "--where", "excluded == False", "--bootstrap", 60, "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["law"] == "chinchilla"
    assert found["n_runs"] == 28
    assert found["params"]["alpha"] == pytest.approx(0.35, abs=0.03)
    assert found["a"] + found["b"] == pytest.approx(1)
    assert set(found["ci"]) == {"E", "A", "B", "alpha", "beta", "a", "b"}
    for low, high in found["ci"].values():
        assert low <= high
    assert {"status", "objective", "excluded", "diagnostics"} <= set(found)
    assert "keeps 28 of 30 rows" in err


def test_fit_prints_a_table(scaling_command, table):
    code, out, _ = scaling_command("fit", table, "--where", "not excluded", "--bootstrap", 20)
    assert code == 0
    assert "L = 1." in out
    assert "irreducible loss" in out
    assert "Hoffmann et al. 2022" in out
    assert "28 runs" in out


def test_fit_takes_named_columns_a_law_and_a_penalty(scaling_command, table):
    text = table.read_text().replace("val_loss", "score").replace("N,D", "size,data")
    table.write_text(text)
    names = ("--params-col", "size", "--tokens-col", "data", "--loss-col", "score")
    rest = ("--law", "chinchilla_symmetric", "--loss-fn", "mse", "--bootstrap", 0, "--json")
    code, out, _ = scaling_command("fit", table, *names, "--where", "excluded == 0", *rest)
    found = json.loads(out)
    assert (code, found["law"], found["loss_fn"]) == (0, "chinchilla_symmetric", "mse")
    assert found["ci"] == {}
    _, out, _ = scaling_command(
        "fit", table, "--loss-col", "score", "--x-col", "size", "--bootstrap", 0, "--json"
    )
    assert json.loads(out)["law"] == "power_floor"


def test_a_planned_run_is_excluded_and_listed(scaling_command, sweep):
    _, out, _ = scaling_command("fit", "demo", "--bootstrap", 0, "--json")
    found = json.loads(out)
    assert found["n_runs"] == 27
    assert [e["reason"] for e in found["excluded"]] == [
        "diverged: loss is not finite",
        "running: not finished",
        "planned: not run yet",
    ]


def test_a_missing_loss_column_names_the_flag(scaling_command, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("N,D,score\n1e6,2e7,3\n")
    code, _, err = scaling_command("fit", path)
    assert code == 2
    assert "the table has no loss and no column like it (--loss-col names one); its" in err


def test_fit_of_a_sweep_has_the_approaches_side_by_side(scaling_command, sweep, home):
    code, out, _ = scaling_command("fit", "demo", "--root", home, "--bootstrap", 20, "--json")
    assert code == 0
    approaches = json.loads(out)["approaches"]
    assert [x["name"] for x in approaches] == ["1", "2", "3"]
    assert approaches[2]["a"] == pytest.approx(0.4 / 0.75, abs=0.05)
    code, out, _ = scaling_command("fit", "demo", "--root", home, "--bootstrap", 20)
    assert "by each approach" in out


def test_the_checklist_is_filled(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 20, "--checklist")
    code, out, err = scaling_command(*words)
    assert code == 0
    assert "## Fitting" in out
    assert "- **Which objective?** sum of Huber's penalty" in out
    assert "left to the author" in err
    _, out, _ = scaling_command(*words, "--json")
    items = json.loads(out)["checklist"]
    assert {"section", "question", "answer"} == set(items[0])


def test_fit_for_a_paper_and_with_a_certificate(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 20)
    _, out, _ = scaling_command(*words, "--resample", "residual", "--asymmetry", 2)
    assert "certificate: " in out
    _, out, _ = scaling_command(*words, "--latex")
    assert out.startswith("\\begin{table}")
    code, _, err = scaling_command(*words, "--resample", "residual", "--cluster", "N")
    assert (code, "give one" in err) == (2, True)


def test_a_row_without_a_size_is_named_by_its_line(scaling_command, table):
    lines = table.read_text().splitlines()
    lines[6] = "," + lines[6].split(",", 1)[1]
    table.write_text("\n".join(lines) + "\n")
    _, _, err = scaling_command("fit", table, "--where", "excluded == False", "--bootstrap", 0)
    assert "num_params missing: line 7, not used where it is needed" in err


def cells(out):
    """The rows of a printed table, by their first cell."""
    rows = [line.split() for line in out.splitlines() if line.strip()]
    return {row[0]: row[1:] for row in rows}


def test_exponents_stand_apart_from_parameters_of_the_same_name(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 10)
    law = "L = E + A/N**a + B/D**b"
    _, out, _ = scaling_command(*words, "--law", law)
    assert {"a", "b", "exponent_a", "exponent_b"} <= set(cells(out))
    _, out, _ = scaling_command(*words, "--law", law, "--json")
    found = json.loads(out)
    assert found["exponent_a"] == found["a"] != found["params"]["a"]
    code, out, err = scaling_command(*words, "--law", "L = E + A*N**-a*D**-b")
    assert (code, "no allocation exponents" in err) == (0, True)
    assert "N* ~" not in out


def test_a_formula_says_where_its_parameters_start(scaling_command, tmp_path):
    n = np.geomspace(1e6, 1e9, 20)
    frame = pd.DataFrame({"N": n, "loss": 2 + 300 / (n + 5e7) ** 0.3 - 0.02 * np.log(n)})
    frame.to_csv(tmp_path / "off.csv", index=False)
    law = "L = E + A/(N + N0)**a + s*log(N)"
    words = ("fit", tmp_path / "off.csv", "--bootstrap", 0, "--json")
    code, out, _ = scaling_command(
        *words, "--law", law, "--start", "N0=1e7,1e9", "--start", "a=.1,1", "--signed", "s"
    )
    assert code == 0
    assert json.loads(out)["params"]["s"] == pytest.approx(-0.02, rel=0.1)
    path = tmp_path / "r.html"
    words = ("report", tmp_path / "off.csv", "-o", path, "--bootstrap", 8, "--law", law)
    assert scaling_command(*words, "--start", "N0=1e7,1e9", "--signed", "s")[0] == 0
    assert "--start N0=10000000.0,1000000000.0 --signed s" in path.read_text(encoding="utf-8")
    words = ("fit", tmp_path / "off.csv")
    for rest, says in (
        (["--law", "power_floor", "--x-col", "num_params", "--signed", "E"], "from a formula"),
        (["--law", law, "--start", "N0=1"], "is not as N0=1e6,1e9"),
        (["--law", law, "--start", "M=1,2"], "unknown parameter"),
    ):
        code, _, err = scaling_command(*words, *rest)
        assert (code, says in err) == (2, True), err


def test_intervals_of_what_is_not_identified_are_marked(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 10)
    _, out, _ = scaling_command(*words)
    assert "?" not in out
    frame = pd.read_csv(table)
    frame["N"], frame["group"] = 1e5, frame.index % 3
    frame.to_csv(table, index=False)
    code, out, err = scaling_command(*words, "--cluster", "group")
    assert (code, "?: not identified" in out) == (0, True)
    assert cells(out)["alpha"][3] == "?"
    assert "3 groups by group: intervals from fewer than 10 are rough" in err


def test_checkpoints_are_drawn_by_run_and_that_is_said(scaling_command, table):
    frame = pd.read_csv(table)
    frame["run"] = frame["N"].rank(method="dense").astype(int)
    frame.to_csv(table, index=False)
    words = ("fit", table, "--bootstrap", 20, "--json")
    _, out, err = scaling_command(*words)
    found = json.loads(out)
    assert (found["resample"], found["clusters"]) == ("cluster", 6)
    assert found["draws"] == {"used": 20, "failed": 0}
    assert "30 rows are checkpoints of 6 runs (column run): they are drawn together" in err
    _, out, err = scaling_command(*words, "--cluster", "none")
    found = json.loads(out)
    assert (found["resample"], found["clusters"]) == ("pairs", None)
    assert "drawn together" not in err
