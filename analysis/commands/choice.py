"""Which law a table is fitted by where none was named, why, and what to do next."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.commands.options import FitOptions, Source, flags, words_of
from analysis.laws import LAWS
from scaling.base import format_value

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit

SIZES = ("num_params", "num_tokens")
BEYOND = 10
"""How many times the largest size a prediction is proposed for."""


def chosen(asked: FitOptions, table: pd.DataFrame) -> tuple[FitOptions, str]:
    """What is fitted, and why that law; no reason where it was named.

    Without N or D, or where neither varies, nothing is chosen: the fit says what it needs.
    """
    if asked.law or asked.x_col:
        return asked, ""
    usable = table[table["exclude_reason"] == ""]
    values = {name: usable[name].dropna() for name in SIZES if name in usable}
    values = {name: column for name, column in values.items() if len(column)}
    varying = [name for name, column in values.items() if column.nunique() > 1]
    if len(values) < len(SIZES) or not varying:
        return asked, ""
    if len(varying) == len(SIZES):
        said = f"{asked.law_name}, as both N and D vary"
        return asked, said + _others(usable)
    (fixed,) = [name for name in SIZES if name not in varying]
    asked = replace(asked, x_col=varying[0])
    one = format_value(float(values[fixed].iloc[0]))
    return asked, f"{asked.law_name} of {varying[0]}, as {fixed} is {one} in all rows"


def _others(usable: pd.DataFrame) -> str:
    """Named laws of N, D and other columns that the table has, which vary."""
    names = [
        law.name
        for law in LAWS.values()
        if {*SIZES} < {*law.inputs} and law.output in usable and {*law.inputs} <= {*usable.columns}
        and all(usable[name].nunique() > 1 for name in law.inputs)
    ]  # fmt: skip
    also = f"; by the table's columns also --law {' or --law '.join(names)}" if names else ""
    return f"{also}; scaling laws lists all"


def next_command(source: Source, asked: FitOptions, fitted: Fit, found: dict[str, Any]) -> str:
    """The command that follows a fit: a plan, a prediction, or a test of the law."""
    own = flags(replace(asked, bootstrap=FitOptions.bootstrap, level=FitOptions.level))
    if found.get("a") is not None and fitted.identified:
        words = ["plan", *words_of(source), *own]
    elif (
        fitted.identified
        and len(fitted.law.variables) == len(fitted.x_cols) == 1
        and fitted.inputs[0].max() > 1  # a share has no ten times
    ):
        largest = BEYOND * float(fitted.inputs[0].max())
        words = ["predict", *words_of(source), *own, "--at", f"{fitted.x_cols[0]}={largest:.2g}"]
    else:
        words = ["backtest", *words_of(source), *own]
    return shlex.join(["scaling", *words])
