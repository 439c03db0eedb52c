"""What one run costs per example, and how good it came out: columns for figures and tables.

Time is measured (``seconds`` over training examples, held-out evaluation included), energy is
estimated from it: no run reads a power meter, so the column is called ``kwh_estimated``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.tables.reading import numbers
from scaling.base import PUE, WATTS, kwh_of

if TYPE_CHECKING:
    import pandas as pd


def metric_of(runs: pd.DataFrame, metric: str | None = None) -> str:
    """The column that says how good a run is: ``error`` where there is one, else ``loss``.

    Raises
    ------
    ValueError
        If the column that was asked for is not there or is empty.
    """
    for name in (metric,) if metric else ("error", "loss"):
        if name in runs.columns and runs[name].notna().any():
            return str(name)
    raise ValueError(
        f"no run of {len(runs)} has {metric or 'an error or a loss'}: wait for a finished run, or "
        f"name a column with --metric; there are {', '.join(map(str, runs))}"
    )


def usable(runs: pd.DataFrame, *needed: str) -> pd.DataFrame:
    """The rows without an ``exclude_reason`` that have the ``needed`` columns, finite and above 0.

    An error of exactly 0 has no logarithm and no place on a log axis; such a row is not used.

    Raises
    ------
    ValueError
        If a column is not there or holds text.
    """
    for name in needed:
        if name not in runs.columns:
            raise ValueError(
                f"no column {name!r}; the table has {', '.join(map(str, runs.columns))}"
            )
    kept = _kept(runs.assign(**{name: _floats(runs, name) for name in needed}))
    found = kept[list(needed)]
    return kept[((found > 0) & (found < math.inf)).all(axis=1)]


def unusable(runs: pd.DataFrame, name: str) -> list[str]:
    """How many rows :func:`usable` leaves out for their ``name``, and why; one line a reason."""
    values = _floats(_kept(runs), name)
    reasons = {
        f"{name} missing": values.isna(),
        f"{name} not positive": values <= 0,
        f"{name} infinite": values == math.inf,
    }
    return [
        f"left out, {reason}: {int(rows.sum())} of {len(runs)} rows"
        for reason, rows in reasons.items()
        if rows.any()
    ]


def _floats(runs: pd.DataFrame, name: str) -> pd.Series:
    return numbers(runs[name], name)


def _kept(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["exclude_reason"] == ""] if "exclude_reason" in runs.columns else runs


def with_complexity(
    runs: pd.DataFrame, *, watts: float | None = None, pue: float = PUE
) -> pd.DataFrame:
    """``runs`` with ``flops_forward``, ``seconds_per_example`` and ``kwh_estimated``.

    ``flops_forward`` is 2 ``macs_forward``, or ``flops / (3 num_tokens)`` where a table has
    none: those are 3 x forward by convention. ``kwh_estimated`` is ``seconds`` x ``watts`` x
    ``pue`` (Strubell et al. 2019, eq. 1), as if the run had the device to itself.

    Parameters
    ----------
    runs : DataFrame
    watts : float, optional
        Power of what one run holds; the rated power of its device's kind if left out.
    pue : float
        Power drawn by the data centre over power drawn by its devices.
    """
    found = runs.copy()
    if "macs_forward" in runs.columns:
        found["flops_forward"] = 2 * runs["macs_forward"]
    elif {"flops", "num_tokens"} <= set(runs.columns):
        found["flops_forward"] = runs["flops"] / (3 * runs["num_tokens"])
    if {"seconds", "num_tokens"} <= set(runs.columns):
        found["seconds_per_example"] = runs["seconds"] / runs["num_tokens"]
        power = watts if watts is not None else rated_watts(runs)
        found["kwh_estimated"] = kwh_of(runs["seconds"], power, pue)
    found.attrs = dict(runs.attrs)
    return found


def rated_watts(runs: pd.DataFrame) -> pd.Series | float:
    """The rated power of each run's kind of device; a processor's where it is not known."""
    if "device" not in runs.columns:
        return WATTS["cpu"]
    kinds = runs["device"].astype(str).str.partition(":")[0]
    return kinds.map(WATTS).fillna(WATTS["cpu"])
