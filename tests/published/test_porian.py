"""Porian et al. 2024 (arXiv 2406.19146): five exponents of N* ~ C^a on RefinedWeb, figure 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load_runs
from analysis.compute.approach2 import isoflop

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("table", "published"),
    [
        ("base__long__kaplan__kaplan__train", 0.835),
        ("base__long__kaplan__standard__val", 0.706),
        ("base__short__kaplan__standard__val", 0.602),
        ("base__short__chinchilla__standard__val", 0.571),
        ("tuned__short__const__standard__val", 0.497),
    ],
)
def test_exponent_within_two_hundredths(table, published):
    runs = load_runs(DATA / f"porian_rw__{table}.csv")
    found = isoflop(runs, method="akima")
    assert found.a == pytest.approx(published, abs=0.02)
    low, high = found.ci()["a"]
    assert low < published < high
    assert found.a + found.b == pytest.approx(1, abs=1e-6)  # their D is C / (6 N) exactly
