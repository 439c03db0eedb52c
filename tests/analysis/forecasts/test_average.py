"""Averages of laws by their backtests: closed forms of the weights, planted laws, coverage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.forecasts.average import weigh
from analysis.forecasts.blend import forecast
from analysis.forecasts.candidates import ONE_VARIABLE, candidates

X = np.geomspace(1e6, 1e9, 30)


def curve(noise: float = 0.0, seed: int = 0, floor: float = 0.5, alpha: float = 0.3):
    """A power law with floor that falls from 1 + floor at 1e6."""
    rng = np.random.default_rng(seed)
    x = np.append(X, [2e9, 3e9])
    loss = (floor + (x / 1e6) ** -alpha) * np.exp(noise * rng.standard_normal(len(x)))
    table = pd.DataFrame({"x": x, "loss": loss})
    return table.iloc[:-2], table.iloc[-2:]


def test_weights_are_inverse_squares_of_mean_square_errors():
    near = np.array([[0.01, 0.01], [0.02, 0.02]])
    # mean squares 1e-4 and 4e-4, so 16 : 1 (and 1e-8 on both, which moves little)
    assert weigh([near], 2) == pytest.approx([16 / 17, 1 / 17], abs=1e-4)


def test_cut_offs_further_back_count_less():
    small, large = np.array([[0.01], [0.02]]), np.array([[0.02], [0.01]])
    assert weigh([small, large], 2)[0] > 0.5
    assert weigh([large, small], 2)[0] < 0.5


def test_without_backtests_weights_are_equal():
    assert weigh([], 4) == pytest.approx([0.25] * 4)


@settings(deadline=None, max_examples=30)
@given(arrays(float, (4, 5), elements=st.floats(-10, 10)))
def test_weights_are_shares(errors):
    weights = weigh([errors], 4)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)


def test_auto_predicts_a_planted_curve_three_times_beyond():
    runs, beyond = curve(noise=0.002)
    found = forecast(runs, x_col="x")
    assert {law.name for law in found.laws} == set(ONE_VARIABLE)
    assert found.predict(beyond) == pytest.approx(beyond["loss"].to_numpy(), rel=0.01)


def test_intervals_cover_noise_and_extrapolation():
    inside = []
    for seed in range(8):
        runs, beyond = curve(noise=0.01, seed=seed, alpha=0.15 + 0.05 * seed)
        low, high = forecast(runs, "power_floor", x_col="x").predict_ci(beyond)
        inside += list((low <= beyond["loss"]) & (beyond["loss"] <= high))
    assert np.mean(inside) >= 0.75


def test_intervals_widen_with_level_and_distance():
    runs, _ = curve(noise=0.01)
    found = forecast(runs, "power_floor", x_col="x")
    far = {"x": np.array([1e9, 1e10, 1e12])}
    low, high = found.predict_ci(far)
    assert (np.diff(np.log(high / low)) > 0).all()
    low_half, high_half = found.predict_ci(far, level=0.5)
    assert (low < low_half).all()
    assert (high_half < high).all()
    with pytest.raises(ValueError, match="level 90"):
        found.predict_ci(far, level=90)


def test_params_and_tokens_average_the_joint_laws(planted_runs):
    found = forecast(planted_runs)
    assert {law.name for law in found.laws} == {"kaplan", "chinchilla", "chinchilla_symmetric"}
    assert found.predict(planted_runs) == pytest.approx(planted_runs["loss"].to_numpy(), rel=0.02)


def test_units_do_not_matter():
    runs, beyond = curve(noise=0.005)
    small = forecast(runs.assign(x=runs["x"] / 1e6), x_col="x").predict({"x": beyond["x"] / 1e6})
    assert small == pytest.approx(forecast(runs, x_col="x").predict(beyond), rel=1e-4)


def test_a_forecast_goes_to_json():
    runs, _ = curve(noise=0.01)
    values = json.loads(json.dumps(forecast(runs, "power_floor", x_col="x").to_dict()))
    assert values["members"][0]["law"] == "power_floor"
    assert len(values["backtests"]) == 6


def test_auto_without_a_variable_says_how_to_name_it():
    runs, _ = curve()
    with pytest.raises(ValueError, match="--x-col"):
        forecast(runs)


def test_an_error_that_rises_with_size_is_no_score() -> None:
    """By its name: accuracies of the same values are sigmoids, which go on to rise."""
    size = np.geomspace(1e18, 1e21, 12)
    rising = pd.DataFrame({"flops": size, "accuracy": np.linspace(0.4, 0.6, 12)})
    errors = rising.rename(columns={"accuracy": "brier_score"})
    read = errors.rename(columns={"brier_score": "loss"})
    read.attrs["units"] = {"loss": "brier_score"}  # as a file's column taken for the loss says
    assert candidates(rising, ("flops",), "accuracy")[0].name == "logistic"
    assert candidates(errors, ("flops",), "brier_score")[0].name == "power_floor"
    assert candidates(read, ("flops",))[0].name == "power_floor"
