"""The laws that ``auto`` averages: they follow from the columns that a table has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.laws import LAWS, Law, laws_in
from analysis.tables import numbers
from scaling.base import MAX_EPOCHS

if TYPE_CHECKING:
    import pandas as pd

ONE_VARIABLE = ("power_floor", "m3", "m4", "bnsl1")
PARAMS_AND_TOKENS = ("kaplan", "chinchilla", "chinchilla_symmetric")
REPEATS = ("repeated_data",)
RUNS_A_PARAMETER = 2
"""Half of the runs are to predict the others by, as many as a law of repeats has parameters."""


def candidates(
    runs: pd.DataFrame, x_cols: Sequence[str] = (), y_col: str = "loss"
) -> tuple[Law, ...]:
    """The laws that ``auto`` averages for these runs; all take the same inputs.

    Of one column they are the laws of learning curves, of several those of
    ``analysis.laws.laws_in``, without any those in ``num_params`` and ``num_tokens``. What is not
    positive everywhere is no power of anything: it is taken to be linear.
    """
    if x_cols:
        return _in_columns(runs, tuple(x_cols), y_col)
    missing = [name for name in ("num_params", "num_tokens") if name not in runs]
    if missing:
        raise ValueError(
            f"auto needs columns num_params and num_tokens (no {missing[0]}), or one variable: "
            "name it with x_col (--x-col)"
        )
    if "num_unique_tokens" in runs:
        passes = runs["num_tokens"] / runs["num_unique_tokens"]
        laws = tuple(LAWS[name] for name in REPEATS)
        fewest = RUNS_A_PARAMETER * max(len(law.parameters) for law in laws)
        if (passes > MAX_EPOCHS).any() and passes.notna().sum() >= fewest:
            return laws
    return tuple(LAWS[name] for name in PARAMS_AND_TOKENS)


def columns_of(x_col: str | None) -> tuple[str, ...]:
    """The columns that ``x_col`` names, with commas between them."""
    return tuple(name.strip() for name in (x_col or "").split(",") if name.strip())


def _in_columns(runs: pd.DataFrame, x_cols: tuple[str, ...], y_col: str) -> tuple[Law, ...]:
    for name in (*x_cols, y_col):
        if name not in runs.columns:
            have = ", ".join(map(str, runs.columns))
            raise ValueError(f"the run table has no column {name!r}; it has {have}")
    values = numbers(runs[y_col], y_col).dropna()
    positive = bool((values > 0).all())
    inputs = [numbers(runs[name], name).dropna() for name in x_cols]
    logs = [bool((x > 0).all()) for x in inputs]
    if len(x_cols) == 1 and positive and all(logs):
        return tuple(LAWS[name] for name in ONE_VARIABLE)
    return laws_in(x_cols, logs, y_col, positive)
