"""Central intervals: the percentiles of a level."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.intervals import interval, tails


@pytest.mark.parametrize("level", [0.5, 0.68, 0.9, 0.95, 0.99])
def test_the_tails_leave_the_level_between_them(level: float) -> None:
    low, high = tails(level)
    assert high - low == pytest.approx(level, abs=1e-15)
    assert low == pytest.approx(1 - high, abs=1e-15)


@pytest.mark.parametrize("level", [0.0, 1.0, 2.0, -0.5, float("nan")])
def test_what_is_no_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"level {level} is not between 0 and 1"):
        tails(level)


def test_along_an_axis_and_of_nothing() -> None:
    draws = np.arange(202.0).reshape(2, 101)
    low, high = interval(draws, 0.9, axis=-1)
    np.testing.assert_allclose([low, high], [[5, 106], [95, 196]])
    low, high = interval(np.empty((0, 3)), 0.9)
    assert low.shape == high.shape == (3,)
    assert np.isnan([low, high]).all()
    assert np.isnan(interval(np.empty(0), 0.9)).all()
