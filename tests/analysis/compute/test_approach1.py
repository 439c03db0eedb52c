"""The lower envelope against its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from analysis.compute.approach1 import curve_points, lower_envelope

POINT = st.tuples(st.integers(1, 12).map(float), st.integers(1, 12).map(float))


@given(st.lists(POINT, min_size=1, max_size=30))
def test_no_point_beats_the_envelope_and_it_beats_all_others(points):
    c, y = np.array(points).T
    kept = lower_envelope(c, y)
    assert (np.diff(c[kept]) > 0).all()
    assert (np.diff(y[kept]) < 0).all()
    for i in range(len(points)):
        assert any(c[k] <= c[i] and y[k] <= y[i] for k in kept)


def test_points_that_are_not_numbers_are_passed_over():
    assert lower_envelope([1.0, 2.0, 3.0], [2.0, np.nan, 1.0]).tolist() == [0, 2]


def test_curve_points_carry_their_compute():
    runs = pd.DataFrame(
        {"run_id": ["a", "b"], "num_params": [10.0, 20.0], "num_tokens": [100.0, 200.0],
         "flops": [6600.0, 26400.0]}
    )  # fmt: skip
    curves = pd.DataFrame(
        {"run_id": ["a", "a", "b", "c"], "step": [50, 100, 100, 5], "loss": [3, 2.0, np.nan, 1]}
    )
    points = curve_points(runs, curves)
    assert points["flops"].tolist() == [3300.0, 6600.0]
    assert points["num_params"].tolist() == [10.0, 10.0]
