"""How a sweep is fitted is kept with it, and told otherwise by flags."""

from __future__ import annotations

import json

import pytest

from scaling.cli import main


def fitted(capsys, *flags):
    assert main(["fit", "demo", "--bootstrap", "0", "--json", *flags]) == 0
    caught = capsys.readouterr()
    return json.loads(caught.out), caught.err


@pytest.mark.usefixtures("sweep")
def test_a_fit_is_kept_with_its_sweep_until_told_otherwise(capsys, home):
    usual, said = fitted(capsys)
    assert "kept" not in said
    asked, said = fitted(capsys, "--delta", "0.01", "--keep")
    assert str(home / "sweeps/demo/fit.json") in said
    again, said = fitted(capsys)
    assert "fitted as kept with the sweep: --delta 0.01" in said
    assert again["params"] == asked["params"] != usual["params"]
    assert fitted(capsys, "--delta", "0.001")[0]["params"] == usual["params"]
    other, said = fitted(capsys, "--law", "kaplan")
    assert "kept" not in said and other["law"] == "kaplan"


@pytest.mark.usefixtures("sweep")
def test_a_report_holds_out_as_kept(capsys, home):
    kept = home / "sweeps/demo/fit.json"
    kept.write_text('{"fit": {"delta": 0.01}, "hold_out": 2}')
    page = home / "report.html"
    assert main(["report", "demo", "-o", str(page), "--bootstrap", "0"]) == 0
    text = page.read_text()
    command = f"scaling report demo -o {page} --delta 0.01 --bootstrap 0 --hold-out 2"
    assert command in text
    assert "held out" in text.lower()


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize("text", ["", "{", '{"fit": {"dleta": 1}, "hold_out": 0}', "[1]"])
def test_a_damaged_file_is_named(capsys, home, text):
    (home / "sweeps/demo/fit.json").write_text(text)
    assert main(["fit", "demo", "--bootstrap", "0"]) == 2
    assert "fit.json: no settings of a fit" in capsys.readouterr().err


def test_only_a_sweep_keeps_them(capsys, tmp_path):
    table = tmp_path / "runs.csv"
    rows = (f"{n},{d},{1 + 9 / n**0.3 + 8 / d**0.3}" for n in (1, 3, 9, 27) for d in (1, 4, 16, 64))
    table.write_text("\n".join(["N,D,loss", *rows]))
    assert main(["fit", str(table), "--bootstrap", "0", "--keep"]) == 2
    assert "is no sweep: settings of a fit are kept with one" in capsys.readouterr().err


@pytest.mark.usefixtures("sweep")
def test_more_runs_held_out_than_there_are(capsys, home):
    assert main(["report", "demo", "-o", str(home / "r.html"), "--hold-out", "99"]) == 2
    assert "--hold-out 99: there are" in capsys.readouterr().err
