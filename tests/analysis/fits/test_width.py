"""Huber's delta of linear residuals follows from their scatter, that of logarithms is 1e-3."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import median_abs_deviation

from analysis import Estimand, fit


def line(scale: float = 1.0, wild: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    x = np.geomspace(1.0, 1e6, 400)
    y = 3.0 - 0.5 * np.log(x) + rng.normal(0.0, 0.2, len(x))
    y[:wild] += 1e3
    return pd.DataFrame({"flops": x, "loss": scale * y})


def test_it_is_three_standard_deviations_whatever_the_outliers() -> None:
    runs = line()
    left = runs.loss - np.polyval(np.polyfit(np.log(runs.flops), runs.loss, 2), np.log(runs.flops))
    deviation = float(median_abs_deviation(left, scale="normal"))
    f = fit("polynomial2", runs, starts=2)
    assert f.delta == pytest.approx(3 * deviation, rel=0.05)
    assert f.delta == pytest.approx(3 * 0.2, rel=0.15)
    wild = fit("polynomial2", line(wild=20), starts=2)
    assert wild.delta == pytest.approx(3 * deviation, rel=0.15)


def test_the_unit_of_the_response_changes_nothing_else() -> None:
    one, thousand = (fit("polynomial2", line(scale), starts=2) for scale in (1.0, 1e3))
    assert thousand.delta == pytest.approx(1e3 * one.delta, rel=1e-6)
    np.testing.assert_allclose(thousand.vector, 1e3 * one.vector, rtol=1e-5, atol=1e-3)


def test_what_is_said_stays_and_so_do_logarithms() -> None:
    assert fit("polynomial2", line(), Estimand(delta=0.01), starts=2).delta == 0.01
    runs = line().assign(loss=lambda table: np.exp(table.loss / 10))
    assert fit("power", runs, Estimand(x_col="flops"), starts=2).delta == 1e-3


def test_without_scatter_it_is_a_small_share_of_the_responses_own() -> None:
    exact = line().assign(loss=lambda table: 3.0 - 0.5 * np.log(table.flops))
    f = fit("polynomial2", exact, starts=2)
    assert f.delta == pytest.approx(3e-3 * exact.loss.std(ddof=0))
    np.testing.assert_allclose(f.residuals, 0.0, atol=1e-9)
