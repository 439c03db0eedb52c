"""The scripts in ``examples/python`` go the whole way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: str) -> str:
    """What the script prints, run in the checkout with one thread; warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", f"examples/python/{script}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_becomes_a_plan_with_figures(tmp_path):
    folder = tmp_path / "figures"
    said = run("table_to_plan.py", "tests/published/data/chinchilla.csv", str(folder))
    assert "245 runs, 245 to fit" in said
    assert "status: identified" in said
    assert "Plan by L = " in said
    assert "Forecast of loss" in said
    names = {path.name for path in folder.iterdir()}
    assert names == {"frontier.png", "scaling.png", "residuals.png", "plan.png", "report.html"}
    assert all((folder / name).stat().st_size > 10_000 for name in names)


@pytest.mark.slow
def test_a_sweep_becomes_a_law():
    said = run("sweep_to_law.py")
    assert "16 runs trained, 0 were there" in said
    assert "chinchilla on 16 runs, 0 left out" in said
    assert "Plan by L = " in said
