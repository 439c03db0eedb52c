"""The learning-curve benchmark of Alabdulmohsin et al. 2022, by one setting for all curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.backtest import Backtest, backtest

DATA = Path(__file__).parent / "data"
CURVE = ["domain", "task", "model"]


def scored(name: str, law: str = "auto") -> Backtest:
    table = pd.read_csv(DATA / f"learning_curves_{name}.csv", comment="#")
    return backtest(table, law=law, by=CURVE, x_col="num_examples", train_col="is_training")


@pytest.mark.slow
def test_vision_curves():
    found = scored("vision")
    assert len(found.groups) == 36
    assert found.mean_rmse_log <= 0.027


@pytest.mark.slow
def test_language_curves():
    found = scored("lang")
    assert len(found.groups) == 8
    assert found.mean_rmse_log <= 0.006


@pytest.mark.slow
def test_intervals_cover_nine_of_ten_curves_points():
    groups = [group for name in ("vision", "lang") for group in scored(name).groups]
    mean = sum(group.mean("coverage_90") for group in groups) / len(groups)
    assert 0.85 <= mean <= 0.95
