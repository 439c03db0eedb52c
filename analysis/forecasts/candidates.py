"""The laws that ``auto`` averages: they follow from the columns that a table has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.forecasts.cutoffs import log_size, sized
from analysis.laws import LAWS, Array, Law, groups_in, laws_in, score_laws, shifted
from analysis.tables import is_error, numbers
from scaling.base import MAX_EPOCHS

if TYPE_CHECKING:
    import pandas as pd

ONE_VARIABLE = ("power_floor", "m3", "m4", "bnsl1")
PARAMS_AND_TOKENS = ("kaplan", "chinchilla", "chinchilla_symmetric")
REPEATS = ("overfitting",)
LEVELS = ("K", "c")
"""Parameters of laws in any inputs that may differ between groups."""

RISES = 0.3
"""Correlation of a score with the log of size from which it is taken to rise."""

LOW = 0.1
"""Share of losses at or below 0 up to which they are taken for runs that went wrong."""

RUNS_A_PARAMETER = 2
"""Half of the runs are to predict the others by, as many as a law of repeats has parameters."""


def candidates(
    runs: pd.DataFrame, x_cols: Sequence[str] = (), y_col: str = "loss"
) -> tuple[Law, ...]:
    """The laws that ``auto`` averages for these runs; all take the same inputs.

    Of one column they are the laws of learning curves, of several those of
    ``analysis.laws.laws_in``, without any those in ``num_params`` and ``num_tokens``. What is not
    positive everywhere is no power of anything: it is taken to be linear; so is a loss in N and D
    that is often below 0. A score between 0 and 1 that rises with size is a sigmoid
    (``analysis.laws.score_laws``), unless its name tells an error. A column of text names groups
    of rows: each has a level of its own, drawn towards that of all.
    """
    if x_cols:
        return _in_columns(runs, tuple(x_cols), y_col)
    missing = [name for name in ("num_params", "num_tokens") if name not in runs]
    if missing:
        raise ValueError(
            f"auto needs columns num_params and num_tokens (no {missing[0]}), or one variable: "
            "name it with x_col (--x-col)"
        )
    if y_col in runs and _is_low(runs[y_col]):
        return _in_columns(runs, ("num_params", "num_tokens"), y_col)
    if "num_unique_tokens" in runs:
        passes = runs["num_tokens"] / runs["num_unique_tokens"]
        laws = tuple(LAWS[name] for name in REPEATS)
        fewest = RUNS_A_PARAMETER * max(len(law.parameters) for law in laws)
        if (passes > MAX_EPOCHS).any() and passes.notna().sum() >= fewest:
            return laws
    return tuple(LAWS[name] for name in PARAMS_AND_TOKENS)


def _is_low(column: pd.Series) -> bool:
    """Whether more values than ``LOW`` have no logarithm."""
    y = numbers(column, str(column.name)).dropna()
    return bool(len(y) and (y <= 0).mean() > LOW)


def columns_of(x_col: str | None) -> tuple[str, ...]:
    """The columns that ``x_col`` names, with commas between them."""
    return tuple(name.strip() for name in (x_col or "").split(",") if name.strip())


def _in_columns(runs: pd.DataFrame, x_cols: tuple[str, ...], y_col: str) -> tuple[Law, ...]:
    for name in (*x_cols, y_col):
        if name not in runs.columns:
            have = ", ".join(map(str, runs.columns))
            raise ValueError(f"the run table has no column {name!r}; it has {have}")
    names = tuple(name for name in x_cols if _is_text(runs[name]))
    x_cols = tuple(name for name in x_cols if name not in names)
    if len(names) > 1 or not x_cols:
        raise ValueError(
            f"{', '.join(names)} hold text: auto takes one column of groups, beside columns of "
            "numbers; name one (--x-col), or forecast each group by itself (--by)"
        )
    known = runs[[*x_cols, y_col]].apply(lambda column: numbers(column, str(column.name)))
    known = known.dropna()
    y, inputs = known[y_col], {name: known[name].to_numpy(dtype=float) for name in x_cols}
    positive = bool((y > 0).all())
    logs = [bool((x > 0).all()) for x in inputs.values()]
    if not _falls(runs, y_col) and _is_score(y.to_numpy(dtype=float), inputs):
        laws = score_laws(x_cols, logs, y_col)
    elif len(x_cols) == 1 and positive and all(logs) and not names:
        return tuple(LAWS[name] for name in ONE_VARIABLE)
    else:
        laws = laws_in(x_cols, logs, y_col, positive)
    if not names:
        return laws
    levels = groups_in(runs.loc[known.index], names[0])
    if len(levels) < 2:
        return laws
    spread = 1.0 if positive else float(y.std())
    return tuple(
        shifted(law, level, names[0], levels, spread)
        for law in laws
        for level in LEVELS
        if level in law.names
    )


def _is_text(column: pd.Series) -> bool:
    """Whether a column names groups: no cell of it is a number."""
    if column.dtype.kind in "iufb":
        return False
    from pandas import to_numeric  # slow to load

    return not to_numeric(column, errors="coerce").notna().any()


def _falls(runs: pd.DataFrame, y_col: str) -> bool:
    """Whether a response is an error by name: that of its own column, where it is the loss."""
    told = runs.attrs.get("units", {}).get("loss") if y_col == "loss" else y_col
    return told is not None and is_error(told or "loss")


def _is_score(y: Array, inputs: dict[str, Array]) -> bool:
    """Whether ``y`` is what a score is: between 0 and 1, and higher for larger runs."""
    by = sized(inputs)
    if not by or len(y) < 3 or not ((y > 0) & (y < 1)).all():
        return False
    size = log_size(inputs, by)
    return bool(np.ptp(size) > 0 and np.corrcoef(size, y)[0, 1] > RISES)
