"""Backtests: which rows are fitted, which predicted, and what is reported."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.forecasts.backtest import backtest
from scaling.base.errors import NoAnswerError


def curves() -> pd.DataFrame:
    """Two power laws with floor, "a" and "b", without noise; the last two points held out."""
    x = np.geomspace(1e6, 1e9, 20)
    tables = [
        pd.DataFrame(
            {
                "task": task,
                "x": x,
                "loss": floor + (x / 1e6) ** -0.3,
                "train": [1] * 18 + [0] * 2,
            }
        )
        for task, floor in (("a", 0.5), ("b", 0.2))
    ]
    return pd.concat(tables, ignore_index=True)


def run(table: pd.DataFrame, **options):
    return backtest(table, law="power_floor", x_col="x", **options)


def test_exact_curves_are_predicted_exactly():
    found = run(curves(), by=["task"], train_col="train")
    assert found.mean_rmse_log < 1e-5
    assert [(g.key, g.splits[0].n_train, g.splits[0].n_test) for g in found.groups] == [
        ("a", 18, 2),
        ("b", 18, 2),
    ]


def test_errors_are_those_of_the_held_out_rows():
    table = curves()
    table.loc[[18, 19], "loss"] *= np.exp(0.1)
    group = run(table, by=["task"], train_col="train").groups[0]
    assert group.splits[0].rmse_log == pytest.approx(0.1, rel=1e-3)
    assert group.splits[0].bias_log == pytest.approx(-0.1, rel=1e-3)
    assert group.splits[0].coverage_90 == 0.0
    assert group.splits[0].rows.tolist() == [18, 19]


def test_cut_offs_halve_the_largest_x_and_predict_all_beyond():
    table = curves().query("task == 'a'")
    (group,) = run(table).groups
    x = table["x"].to_numpy()
    assert [s.n_train for s in group.splits] == [
        int((x <= 1e9 / 2**k + 1).sum()) for k in (1, 2, 3)
    ]
    assert all(s.n_train + s.n_test == len(x) for s in group.splits)


def test_cut_offs_over_compute_for_laws_in_n_and_d(planted_runs):
    (group,) = backtest(planted_runs, law="chinchilla").groups
    size = (planted_runs["num_params"] * planted_runs["num_tokens"]).to_numpy()
    assert group.splits[0].n_train == int((size <= size.max() / 4 * (1 + 1e-9)).sum())
    assert group.mean("rmse_log") < 0.02


def test_json_has_the_documented_keys():
    values = json.loads(json.dumps(run(curves(), by=["task"], train_col="train").to_dict()))
    assert {"groups", "mean_rmse_log", "coverage_90"} <= set(values)
    keys = {"key", "law", "n_train", "n_test", "rmse_log", "coverage_90"}
    assert all(keys <= set(group) for group in values["groups"])


@pytest.mark.parametrize("flags", [(True, False), ("true", "False"), ("train", "test"), (1.0, 0.0)])
def test_usual_spellings_of_true_and_false(flags):
    table = curves().astype({"train": object})
    table["train"] = [flags[0] if value else flags[1] for value in table["train"]]
    assert run(table, by=["task"], train_col="train").groups[0].splits[0].n_train == 18


def test_a_flag_that_is_neither_names_its_row():
    table = curves().astype({"train": object})
    table.loc[3, "train"] = "maybe"
    with pytest.raises(ValueError, match="row 3, column 'train': 'maybe'"):
        run(table, train_col="train")


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column 'tusk'"):
        run(curves(), by=["tusk"])


def test_a_group_that_is_too_small_says_so_and_the_rest_is_scored():
    table = curves()
    table = table[(table["task"] == "a") | (table.index > 36)]
    found = run(table, by=["task"], train_col="train")
    assert found.groups[0].status == "ok"
    assert found.groups[1].splits == ()
    assert "to fit" in found.groups[1].status
    assert found.mean_rmse_log < 1e-5


def test_rows_left_out_are_counted():
    table = curves()
    table.loc[2, "loss"] = np.nan
    group = run(table, by=["task"], train_col="train").groups[0]
    assert (group.n_excluded, group.splits[0].n_train) == (1, 17)


def test_nothing_to_predict_is_no_answer():
    with pytest.raises(NoAnswerError, match="0 to predict"):
        run(curves().assign(train=1), train_col="train")


def test_a_law_without_a_value_where_it_is_asked_says_so():
    x = np.arange(1.0, 25.0)
    runs = pd.DataFrame({"x": x, "loss": np.maximum(10.0 - x, 0.5), "train": (x <= 8).astype(int)})
    with pytest.raises(NoAnswerError, match=r"no positive value at 1[45] of 16 held-out runs"):
        backtest(runs, law="L = A - B * x", x_col="x", train_col="train")
