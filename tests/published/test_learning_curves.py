"""The learning-curve benchmark of Alabdulmohsin et al. 2022, by one setting for all curves.

Score: root mean square of the error of log loss on the held-out points, mean over curves. The
best law alone scores 0.0332 (vision, broken law) and 0.0050 (language, M4) with many starts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.forecasts.backtest import Backtest, backtest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("learning curves")]

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def scores() -> dict[str, Backtest]:
    return {
        name: backtest(
            pd.read_csv(DATA / f"learning_curves_{name}.csv", comment="#"),
            by=["domain", "task", "model"],
            x_col="num_examples",
            train_col="is_training",
        )
        for name in ("vision", "lang")
    }


def test_vision_is_better_than_the_best_single_law(scores):
    assert len(scores["vision"].groups) == 36
    assert scores["vision"].mean_rmse_log <= 0.027


def test_language_is_better_than_the_best_single_law(scores):
    assert len(scores["lang"].groups) == 8
    assert scores["lang"].mean_rmse_log <= 0.0045


def test_intervals_cover_about_nine_points_of_ten(scores):
    groups = [group for found in scores.values() for group in found.groups]
    assert 0.85 <= np.mean([group.mean("coverage_90") for group in groups]) <= 0.95
