"""Beyond the runs log losses drift by a slope in ln N D that each draw has for itself."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import forecast
from analysis.forecasts.discrepancy import DRIFT, SHOWN, drift
from tests.analysis.forecasts.test_forecast import planted


def test_runs_that_refute_their_law_drift_and_others_hardly() -> None:
    assert drift(0.0) == 0.0
    assert drift(SHOWN) == pytest.approx(DRIFT / 2)
    assert drift(100 * SHOWN) == pytest.approx(DRIFT, rel=1e-3)


def test_far_beyond_the_runs_the_variance_grows_by_the_drift_alone() -> None:
    """Within them there is none, and at one budget it is the same for all sizes, so N* stays."""
    runs = planted(0.005, 0)
    draws = max(forecast(runs).draws, key=lambda each: each.member.ratio)
    member = draws.member
    n, d = (float(runs[name].max()) for name in ("num_params", "num_tokens"))
    end = np.log(runs["num_params"] * runs["num_tokens"]).max()
    assert not member.drifted((runs["num_params"].to_numpy(), runs["num_tokens"].to_numpy())).any()
    # where the smooth part has forgotten the runs, e^20 and e^40 beyond their ends
    at = np.array([1e30, 1e30 * np.exp(20), 1e30 / np.exp(5)]) * n
    tokens = np.array([1e30, 1e30, 1e30 * np.exp(5)]) * d
    far = np.log(at * tokens) - end
    slope = drift(member.ratio * member.noise) / member.noise
    expected = member.ratio**2 + (slope * far) ** 2
    np.testing.assert_allclose(draws.strayed((at, tokens)), expected, rtol=1e-9)
    assert member.drifted((at, tokens))[0] == pytest.approx(member.drifted((at, tokens))[2])
    # jointly: what two far places have in common is the drift
    strays = draws.strays((at[:2], tokens[:2]), np.random.default_rng(0)) / draws.noise[:, None]
    common = slope**2 * far[0] * far[1]
    assert np.mean(strays[:, 0] * strays[:, 1]) == pytest.approx(common, rel=5 / len(draws) ** 0.5)
