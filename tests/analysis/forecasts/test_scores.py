"""The scores against closed forms, and that they are proper."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, uniform

from analysis.forecasts.scores import crps, interval_score


@pytest.mark.parametrize("actual", [-1.0, 0.3, 2.5])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_crps_of_a_normal_forecast_is_its_closed_form(actual: float, scale: float) -> None:
    """Gneiting and Raftery 2007, below eq. 21 (there with the other sign)."""
    draws = scale * np.random.default_rng(0).standard_normal((400_000, 1))
    z = actual / scale
    wanted = scale * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps(draws, [actual])[0] == pytest.approx(wanted, abs=4e-3 * scale)


def test_crps_of_few_draws_is_right_on_average() -> None:
    """Three draws of a uniform forecast: E|X - y| - E|X - X'|/2 = (y^2 + (1-y)^2)/2 - 1/6."""
    draws = np.random.default_rng(1).uniform(size=(3, 200_000))
    assert crps(draws, 0.2).mean() == pytest.approx((0.04 + 0.64) / 2 - 1 / 6, abs=2e-3)


def test_crps_of_equal_draws_is_the_absolute_error() -> None:
    assert crps(np.full((5, 2), 3.0), [1.0, 3.0]).tolist() == [2.0, 0.0]


def test_crps_needs_two_draws() -> None:
    with pytest.raises(ValueError, match="needs 2 or more"):
        crps([[1.0]], [1.0])


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_interval_score_of_a_uniform_observation_is_its_closed_form(level: float) -> None:
    """Of [a, 1 - a] and y uniform on [0, 1]: 1 - 2a + (2 / (1 - level)) a^2, least at its tail."""
    tail = (1 - level) / 2
    actual = uniform.ppf((np.arange(100_000) + 0.5) / 100_000)
    means = {}
    for a in (tail / 2, tail, 2 * tail):
        means[a] = interval_score(a, 1 - a, actual, level).mean()
        assert means[a] == pytest.approx(1 - 2 * a + a**2 / tail, abs=1e-6)
    assert min(means, key=lambda a: means[a]) == tail


def test_interval_score_inside_is_the_width() -> None:
    scores = interval_score([0.0, 0.0, 0.0], 1.0, [0.0, 0.4, 1.0], 0.9)
    assert scores.tolist() == [1.0, 1.0, 1.0]


def test_interval_score_needs_a_level() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval_score(0.0, 1.0, 0.5, 90)
