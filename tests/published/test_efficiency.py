"""Effective compute and its emissions as published: ImageNet 2012 to 2019, and Strubell et al."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.efficiency import emissions, published, trend
from scaling.base import pfs_days

DATA = Path(__file__).parent / "data"


def test_44_times_less_in_seven_years_doubling_each_16_months():
    """Hernandez & Brown 2020, abstract; their factors to the digits printed."""
    table = pd.read_csv(DATA / "imagenet_efficiency.csv")
    found = published(table.assign(flops=8.64e16 * table["teraflops_days"]), "name", date="date")
    assert [one.group for one in found] == list(table["name"])
    assert [one.factor for one in found] == pytest.approx(table["printed_factor"], rel=0.04)
    assert pfs_days(found[0].flops) == pytest.approx(3.1e-3)
    line = trend(found)
    assert line is not None
    assert round(line.doubling_months) == 16
    assert line.n == 6
    low, high = line.doubling_months_ci
    assert low < 12 * 7 / np.log2(44) < line.doubling_months < high  # from end to end: 15.4
    # least squares, by the normal equations
    x, y = np.array([one.date for one in found]), np.log2([one.factor for one in found])
    design = np.stack([np.ones(6), x - x.mean()], axis=1)
    solved, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    half = 2.1318 * np.sqrt(residual[0] / 4 / ((x - x.mean()) ** 2).sum())  # t of 4 at 95 %
    ends = (solved[1] - half, solved[1] + half)
    assert line.doublings_per_year_ci == pytest.approx(ends, rel=1e-4)


@pytest.mark.parametrize(
    ("watts", "hours", "kwh", "pounds"),
    [(1415.78, 12, 27, 26), (1515.43, 84, 201, 192), (517.66, 336, 275, 262),
     (12041.51, 79, 1507, 1438)],
    ids=["Transformer base", "Transformer big", "ELMo", "BERT base"],
)  # fmt: skip
def test_energy_and_co2e_of_strubells_models(watts, hours, kwh, pounds):
    """Strubell et al. 2019, table 3: power, hours, kWh with PUE, pounds of CO2e."""
    runs = pd.DataFrame({"seconds": [3600.0 * hours / 2] * 2})
    found = emissions(runs, watts=watts)
    assert found.kwh == pytest.approx(kwh, rel=0.004, abs=0.5)
    assert found.kg_co2e / 0.45359237 == pytest.approx(pounds, rel=0.004, abs=0.5)
