"""`scaling runs`: rows shown, filtered and written."""

from __future__ import annotations

import json

import pytest


def test_runs_shows_filters_and_writes(scaling_command, sweep, tmp_path):
    code, out, err = scaling_command("runs", "demo")
    assert code == 0
    assert "30 runs" in out
    assert "planned: not run yet" in out
    assert "1 of 30 runs not used: running: not finished" in err
    code, out, _ = scaling_command("runs", "demo", "--filter", "status == 'done'", "--json")
    rows = json.loads(out)
    assert len(rows) == 27
    assert {row["status"] for row in rows} == {"done"}
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert scaling_command("runs", "demo", "-o", tmp_path / name)[0] == 0
        code, out, _ = scaling_command("runs", tmp_path / name, "--json")
        again = json.loads(out)
        assert [r["exclude_reason"] for r in again][-1] == "planned: not run yet"
        assert again[0]["loss"] == rows[0]["loss"]
        assert {type(row["seed"]) for row in again} == {int}


def test_written_rows_are_valid_json(scaling_command, tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss\n1e6,2e7,inf\n1e6,3e7,3\n")
    scaling_command("runs", tmp_path / "a.csv", "-o", tmp_path / "a.jsonl")
    first, _ = (tmp_path / "a.jsonl").read_text().splitlines()
    row = json.loads(first, parse_constant=pytest.fail)
    assert (row["loss"], row["exclude_reason"]) == (None, "loss is inf")
