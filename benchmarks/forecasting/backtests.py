"""Each method on each cut of each table, scored: one record a method and split."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from methods import LEVEL, Asked, Expected, methods
from tables import IN_VIEW, Split, splits

from analysis.forecasts.scores import crps, interval_score
from scaling.base import NoAnswerError

SCORES = ("rmse", "interval_score", "crps", "coverage")
FEWEST = 5
"""Rows to fit of a split that counts."""


def backtests(name: str, runs: pd.DataFrame, only: Collection[str] = ()) -> list[dict[str, Any]]:
    """Records of all splits of a table, of all methods unless ``only`` names some."""
    return [record for split in splits(name, runs) for record in _records(split, only)]


def _records(split: Split, only: Collection[str]) -> Iterator[dict[str, Any]]:
    asked = Asked(split)
    y = asked.inner(split.test[split.question.y_col].to_numpy(dtype=float))
    about = {
        "table": split.table, "group": split.group, "cut": split.cut,
        "space": split.question.space, "in_view": split.table in IN_VIEW,
        "n_train": len(split.train), "n_test": len(split.test),
    }  # fmt: skip
    if len(split.train) < FEWEST or not len(split.test):
        yield {**about, "method": "all", "status": "too few rows"}
        return
    for name, method in methods(asked).items():
        if only and name not in only:
            continue
        try:
            expected = method()
        except (NoAnswerError, ValueError) as error:
            yield {**about, "method": name, "status": str(error)}
            continue
        if not all(np.isfinite(x).all() for x in vars(expected).values()):
            yield {**about, "method": name, "status": "no value at some held-out row"}
            continue
        yield {**about, "method": name, "status": "ok", **_scored(expected, y)}


def _scored(expected: Expected, y: np.ndarray) -> dict[str, float]:
    each = {
        "interval_score": interval_score(expected.low, expected.high, y, LEVEL),
        "crps": crps(expected.samples, y),
        "coverage": (expected.low <= y) & (y <= expected.high),
    }
    rmse = float(np.sqrt(np.mean((expected.centre - y) ** 2)))
    return {"rmse": rmse, **{name: float(np.mean(values)) for name, values in each.items()}}


def by_table(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Mean scores of each method on each table: of cuts, then of groups, which count alike.

    ``unanswered`` is the number of splits that a method had no answer to; it then has no scores
    on that table.
    """
    rows = pd.DataFrame(records)
    rows = rows[rows["method"] != "all"]
    rows["unanswered"] = rows["status"] != "ok"
    table = ["table", "in_view", "space", "method"]
    groups = rows.groupby([*table, "group"], sort=False)[[*SCORES]].mean()
    each = groups.groupby(table, sort=False).mean()
    whole = rows.groupby(table, sort=False)
    each["unanswered"] = whole["unanswered"].sum()
    each["splits"], each["rows"] = whole.size(), whole["n_test"].sum()
    each.loc[each["unanswered"] > 0, [*SCORES]] = np.nan
    return each.reset_index()


def unanswered(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Table, method and reason of splits without an answer, and their number."""
    rows = pd.DataFrame(records)
    rows = rows[rows["status"] != "ok"]
    return rows.groupby(["table", "method", "status"], sort=False).size().reset_index(name="splits")


def pooled(tables: pd.DataFrame) -> pd.DataFrame:
    """Means over the tables of each method, beside the forecast's on the same tables.

    Errors in linear space are of another unit and left out. ``ratio`` is the geometric mean over
    tables of the method's interval score over the forecast's; ``least_coverage`` that of the
    worst table.
    """
    answered = tables[(tables["space"] == "log") & (tables["unanswered"] == 0)]
    ours = answered[answered["method"] == "forecast"].set_index("table")
    rows = []
    for method, theirs in answered.groupby("method", sort=False):
        theirs = theirs.set_index("table").loc[lambda t: t.index.isin(ours.index)]
        same = ours.loc[theirs.index]
        if not len(theirs):
            continue
        ratio = np.log(theirs["interval_score"] / same["interval_score"]).mean()
        rows.append(
            {"method": method, "tables": len(theirs), **theirs[[*SCORES]].mean(),
             "least_coverage": theirs["coverage"].min(), "ratio": float(np.exp(ratio)),
             **same[[*SCORES]].mean().add_prefix("forecast_")}
        )  # fmt: skip
    return pd.DataFrame(rows).sort_values("ratio", ignore_index=True)
