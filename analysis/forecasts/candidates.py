"""The laws that ``auto`` averages: they follow from the columns that a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.laws import LAWS, Law
from scaling.base import MAX_EPOCHS

if TYPE_CHECKING:
    import pandas as pd

ONE_VARIABLE = ("power_floor", "m3", "m4", "bnsl1")
PARAMS_AND_TOKENS = ("kaplan", "chinchilla", "chinchilla_symmetric")
REPEATS = ("repeated_data",)
RUNS_A_PARAMETER = 2
"""Half of the runs are to predict the others by, as many as a law of repeats has parameters."""


def candidates(runs: pd.DataFrame, x_col: str | None = None) -> tuple[Law, ...]:
    """The laws that ``auto`` averages for these runs; all take the same inputs."""
    if x_col is not None:
        return tuple(LAWS[name] for name in ONE_VARIABLE)
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
