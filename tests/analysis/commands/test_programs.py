"""Runs of a program in the table, in a fit and in a report; what ``next`` cannot write."""

from __future__ import annotations

import json

import pytest

from analysis.tables import load_runs
from scaling import Counts, Program, ProgramSpec
from scaling.base import Store
from scaling.run.journal import Journal
from sweeps.sweep import Sweep


@pytest.fixture
def mine(home):
    """A sweep of a program whose losses follow a law in N and D."""
    specs = [
        ProgramSpec(
            program=Program(command=("train",), code="version:1"),
            options={"width": width, "act": "gelu", "opt.lr": 0.1, "flags": [1]},
            counts=Counts(num_params=12 * width**2, flops_per_token=72 * width**2),
            num_tokens=ratio * 12 * width**2,
        )
        for width in (32, 64, 128, 256)
        for ratio in (5, 20, 80)
    ]
    sweep, store = Sweep.of("mine", specs), Store.at(home)
    sweep.write(store.sweep_dir("mine") / "sweep.jsonl")
    for spec in specs:
        loss = 1.5 + 30 * spec.num_params**-0.35 + 90 * spec.num_tokens**-0.4
        journal = Journal(store.run_dir(spec.run_id))
        journal.append("start", time=1.0)
        journal.append("end", status="done", loss=loss, tokens=spec.num_tokens, seconds=2.0)
        journal.close()
    return sweep


def test_options_are_columns_of_the_table(mine, scaling_command):
    table = load_runs("mine")
    assert (table["exclude_reason"] == "").all() and len(table) == 12
    assert table["width"].tolist()[::3] == [32, 64, 128, 256]
    assert set(table["act"]) == {"gelu"} and table["opt.lr"].iloc[0] == 0.1
    assert not {"flags", "spec", "resources"} & set(table.columns)
    code, out, _ = scaling_command("runs", "mine", "--where", "width > 64", "--json")
    assert code == 0 and {row["width"] for row in json.loads(out)} == {128, 256}


def test_a_law_is_fitted_to_them(mine, scaling_command, tmp_path):
    code, out, _ = scaling_command("fit", "mine", "--law", "chinchilla", "--bootstrap", 0, "--json")
    found = json.loads(out)
    assert code == 0 and found["params"]["alpha"] == pytest.approx(0.35, rel=1e-3)
    assert found["params"]["E"] == pytest.approx(1.5, rel=1e-3)
    code, out, _ = scaling_command("plan", "mine", "--flops", 1e12, "--json")
    assert code == 0 and json.loads(out)[0]["num_params"] > 0
    report = tmp_path / "report.html"
    assert scaling_command("report", "mine", "-o", report)[0] == 0
    assert "mine" in report.read_text()


def test_next_shows_sizes_and_refuses_to_write_a_file_without_the_formulas(
    mine, scaling_command, tmp_path
):
    asked = ("next", "mine", "--law", "chinchilla", "--flops", 1e13)
    code, out, _ = scaling_command(*asked, "--json")
    assert code == 0 and json.loads(out)
    code, _, err = scaling_command(*asked, "-o", tmp_path / "next.yaml")
    assert code == 2 and "counts stand in its own sweep file alone" in err
    assert not (tmp_path / "next.yaml").exists()
