"""``scaling fit`` with laws in any variables: groups, several losses, values of any sign."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def families(tmp_path):
    """Runs of four families with floors of their own, of which one has a single run."""
    rng = np.random.default_rng(0)
    family = [*np.repeat(["a", "b", "c"], 10), "solo"]
    num_params = np.geomspace(1e7, 1e10, 31)
    floor = [{"a": 1.5, "b": 1.7, "c": 1.9, "solo": 1.8}[name] for name in family]
    loss = (floor + 400 / num_params**0.34) * np.exp(0.005 * rng.normal(size=31))
    path = tmp_path / "families.csv"
    pd.DataFrame({"family": family, "N": num_params, "loss": loss}).to_csv(path, index=False)
    return path


def test_groups_are_pooled_and_it_is_said(scaling_command, families):
    words = ("fit", families, "--law", "power_floor", "--bootstrap", 4, "--pool", "family:E")
    code, out, err = scaling_command(*words)
    assert (code, "E[~family] + " in out) == (0, True)
    assert "E of 4 groups of family scatters by" in err
    found = json.loads(scaling_command(*words, "--json")[1])
    assert found["params"]["E[b]"] == pytest.approx(1.7, rel=0.02)
    assert found["diagnostics"]["pooled"]["E"]["kept"].keys() == {"a", "b", "c", "solo"}
    assert any("E of 4 groups" in note for note in found["notes"])


def test_a_report_and_a_figure_of_a_law_with_groups(scaling_command, families, tmp_path):
    asked = ("--law", "L = E[family] + A/N^a", "--bootstrap", 4)
    figure = tmp_path / "f.svg"
    assert scaling_command("plot", families, "scaling", *asked, "-o", figure)[0] == 0
    assert "measured as fitted" in figure.read_text()
    assert scaling_command("report", families, *asked, "-o", tmp_path / "r.html")[0] == 0
    assert "E[family]" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_several_losses_share_a_law(scaling_command, tmp_path):
    share = np.linspace(0, 1, 9)
    frame = pd.DataFrame({"share": share, "loss_a": 2 + 0.5 * np.exp(-2 * share)})
    frame["loss_b"] = 1.5 + 0.8 * np.exp(-2 * share)
    frame.to_csv(tmp_path / "mix.csv", index=False)
    law = "L = c[response] + k[response]*exp(t*share)"
    words = ("fit", tmp_path / "mix.csv", "--loss-col", "loss_a,loss_b", "--law", law)
    code, out, _ = scaling_command(*words, "--signed", "t", "--bootstrap", 4, "--json")
    found = json.loads(out)
    assert (code, found["n_runs"], found["diagnostics"]["groups"]) == (0, 18, 9)
    assert found["params"]["t"] == pytest.approx(-2.0, rel=1e-4)
    assert found["params"]["k[loss_b]"] == pytest.approx(0.8, rel=1e-4)
    assert "2 rows of each run, one for each loss: 'response' says which" in found["notes"]


def test_negative_responses_are_fitted_and_drawn(scaling_command, tmp_path):
    x = np.linspace(0, 10, 30)
    path = tmp_path / "n.csv"
    pd.DataFrame({"x": x, "loss": 0.5 - 3 * np.exp(-0.4 * x)}).to_csv(path, index=False)
    words = (path, "--law", "L = a + b*exp(-k*x)", "--signed", "a,b", "--bootstrap", 4)
    code, out, _ = scaling_command("fit", *words, "--json")
    found = json.loads(out)
    assert found["params"] == pytest.approx({"a": 0.5, "b": -3.0, "k": 0.4}, rel=1e-5)
    assert (code, found["n_runs"], found["space"]) == (0, 30, "linear")
    for kind in ("scaling", "residuals"):
        figure = tmp_path / f"{kind}.svg"
        assert scaling_command("plot", words[0], kind, *words[1:], "-o", figure)[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--law", "L = E[family] + A[family]/N^a"],
         "family 'solo' has 1 usable rows for 2 parameters of its own (E, A)"),
        (["--law", "L = E[fam] + A/N^a"], "fam is no column of the table"),
        (["--law", "L = E + A/N^a", "--pool", "fam"], "did you mean 'family'"),
        (["--law", "power", "--pool", "family:Q"], "unknown parameter of power 'Q'"),
        (["--law", "L = E[family] + A/N^a", "--pool", "family"], "says itself what has values"),
        (["--law", "L = E + A*abs(N)"], "the function 'abs', which is not known"),
        (["--law", "L = E + A/N^a", "--loss-col", "loss,lss"], "did you mean 'loss'"),
        (["--law", "L = E + A/N^a", "--signed", "N"], "is the column 'num_params', an input"),
        (["--law", "L = E + A/family"], "'a' is not a number"),
        (["--law", "L = E + A/N^a + B/N^b + c/N^d", "--where", "family == 'solo'"],
         "formula has 7 parameters and the table 1 usable row"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_said_in_one_line(scaling_command, families, words, says):
    code, out, err = scaling_command("fit", families, "--bootstrap", 0, *words)
    last = err.strip().splitlines()[-1]
    assert (code, out) == (2, "")
    assert says in last
    assert last.startswith("scaling fit: ")


def test_a_column_that_reads_like_a_parameter_is_refused_unless_stated(scaling_command, families):
    frame = pd.read_csv(families)
    frame.assign(A=np.arange(1.0, 32.0)).to_csv(families, index=False)
    words = ("fit", families, "--law", "L = E + A/N^a", "--bootstrap", 0)
    code, _, err = scaling_command(*words)
    assert code == 2
    assert "A in the formula is a column of the table too: say --col A=A if that is meant" in err
    code, out, _ = scaling_command(*words, "--col", "A=A")
    assert code == 0
    assert "A=A" in out


def test_a_parameter_is_held_at_a_value(scaling_command, families):
    words = ("fit", families, "--law", "L = E + A/N^a", "--bootstrap", 0)
    code, out, _ = scaling_command(*words, "--hold", "a=0.25", "--json")
    assert code == 0
    assert json.loads(out)["params"]["a"] == 0.25
    code, _, err = scaling_command(*words, "--hold", "gamma=0.25")
    assert code == 2
    assert "gamma" in err
    assert "valid: A, E, a" in err
    code, _, err = scaling_command(*words, "--hold", "a")
    assert code == 2
    assert "'a' is not as beta=0.594" in err
