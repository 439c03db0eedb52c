"""Learning curves: a line a run, which the frontier is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.plotting import curves, draw
from analysis.tables import load_curves, load_runs


def lines(figure):
    return [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 1]


@pytest.mark.usefixtures("sweep")
def test_each_run_has_a_line_over_what_it_saw_and_a_dot_where_it_ended():
    runs, points = load_runs("demo"), load_curves("demo")
    figure = draw(curves(runs, points))
    drawn = lines(figure)
    assert len(drawn) == points["run_id"].nunique() == 29
    one = points[points["run_id"] == runs["run_id"][3]].sort_values("step")
    match = [line for line in drawn if np.array_equal(line.get_ydata(), one["loss"])]
    assert len(match) == 1 and np.array_equal(match[0].get_xdata(), one["step"])
    assert len(figure.axes[0].collections[0].get_offsets()) == 27  # 27 of 29 have ended
    assert figure.axes[0].get_xlabel() == "Training tokens seen"
    assert figure.axes[1].get_ylabel() == "Parameters N"


def test_runs_without_a_size_have_curves_too():
    runs = pd.DataFrame({"run_id": ["a"], "loss": [1.0], "exclude_reason": [""]})
    points = pd.DataFrame({"run_id": ["a"] * 3, "step": [0, 1, 2], "loss": [np.nan, 2.0, 1.0]})
    figure = draw(curves(runs, points))
    (line,) = lines(figure)
    assert line.get_xdata().tolist() == [1, 2] and len(figure.axes) == 1
    with pytest.raises(ValueError, match="no point of a learning curve"):
        curves(runs, points.assign(loss=np.nan))
