"""Fits for prediction, against planted laws."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.forecasts.regularised import regularised_fits
from analysis.laws import LAWS

X = np.geomspace(1e6, 1e9, 40)
TRUTH = 0.5 + 40 * X**-0.3
FLOOR = LAWS["power_floor"]


def noisy(scale: float, seed: int = 0) -> np.ndarray:
    return TRUTH * np.exp(scale * np.random.default_rng(seed).standard_normal(len(X)))


def test_recovers_planted_parameters():
    params, _ = regularised_fits(FLOOR, (X,), noisy(1e-4), np.ones((1, len(X))))
    assert params[0] == pytest.approx([0.5, 40.0, 0.3], rel=0.01)


def test_recovers_the_noise():
    _, noise = regularised_fits(FLOOR, (X,), noisy(0.01), np.ones((1, len(X))))
    assert noise[0] == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize("name", ["m3", "m4", "bnsl1"])
def test_flexible_laws_reproduce_a_curve_they_contain(name):
    law = LAWS[name]
    params, _ = regularised_fits(law, (X,), noisy(1e-3), np.ones((1, len(X))))
    ratio = law.predict(params, X)[0] / TRUTH
    # M3's floor is another function than a constant; the others contain the planted law
    assert ratio == pytest.approx(1.0, abs=0.03 if name == "m3" else 0.003)


def test_runs_of_weight_zero_are_not_seen():
    weights = np.vstack([np.ones(len(X)), np.arange(len(X)) < 25]).astype(float)
    observed = noisy(0.01)
    spoiled = np.where(np.arange(len(X)) < 25, observed, 3 * observed)
    first, _ = regularised_fits(FLOOR, (X,), observed, weights)
    second, _ = regularised_fits(FLOOR, (X,), spoiled, weights[1:])
    before, after = (FLOOR.predict(p, X[:25]) for p in (first[1], second[0]))
    assert after == pytest.approx(before, rel=1e-3)


def test_one_wild_run_hardly_moves_the_prediction():
    observed = noisy(0.005)
    wild = observed.copy()
    wild[20] *= 1.5
    ones = np.ones((1, len(X)))
    ends = [
        FLOOR.predict(regularised_fits(FLOOR, (X,), each, ones)[0], np.array([4e9]))[0, 0]
        for each in (observed, wild)
    ]
    assert ends[1] == pytest.approx(ends[0], rel=0.01)


def test_nine_parameters_on_eight_points_stay_sane():
    law = LAWS["bnsl2"]
    x = X[::5]
    observed = noisy(0.01)[::5]
    params, _ = regularised_fits(law, (x,), observed, np.ones((1, len(x))))
    beyond = law.predict(params, np.array([2e9]))[0, 0]
    assert 0.5 < beyond / observed[-1] < 1.1
