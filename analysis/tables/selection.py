"""Which rows of a table are meant: by a condition, the last of each run, the Pareto frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.tables.reading import TableReading, proposal, refuse_faults
from analysis.tables.where import rows_where
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_PROGRESS = ("num_tokens", "step", "Step", "flops")
"""Columns by which a run's rows are ordered, the first that varies; else they are as they stand."""


def select(frame: pd.DataFrame, where: str | None, how: TableReading) -> pd.DataFrame:
    """The rows of ``frame`` that are asked for, with a note for each thing that chose.

    Raises
    ------
    ValueError
        If a row that stays has text where a number belongs, or what is asked for names no column.
    """
    keep = rows_where(frame, where) if where else None
    refuse_faults(frame, keep)
    if keep is not None:
        frame = _kept(frame, keep, f"--where {where!r}")
    if how.last_by:
        frame = _last(frame, how.last_by)
    if how.frontier:
        frame = _frontier(frame)
    return frame


def _last(frame: pd.DataFrame, asked: str) -> pd.DataFrame:
    """The furthest row of each value of a column, or of several, that can be used."""
    named = [asked] if asked in frame.columns else [name.strip() for name in asked.split(",")]
    for name in named:
        if name not in frame.columns:
            refuse_unknown(name, map(str, frame.columns), "column of --last-by")
    usable = frame[frame["exclude_reason"] == ""]
    groups = usable.groupby(named, sort=False, dropna=False)
    varying = (name for name in _PROGRESS if name in usable and (groups[name].nunique() > 1).any())
    by = next(varying, None)
    ordered = usable.sort_values(by, kind="stable") if by else usable
    last = ordered.groupby(named, sort=False, dropna=False).tail(1)
    order = f"by {by}" if by else "as they stand"
    return _kept(frame, frame.index.isin(last.index), f"--last-by {asked} ({order})")


def _frontier(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows below whose loss no row of as little compute is."""
    import numpy as np

    if missing := [name for name in ("flops", "loss") if name not in frame.columns]:
        raise ValueError(f"--frontier needs compute and loss: {proposal(frame, *missing)}")
    values = frame.loc[frame["exclude_reason"] == "", ["flops", "loss"]].astype(float)
    order = values.dropna().sort_values(["flops", "loss"], kind="stable")
    best = order["loss"].cummin()
    first = order["loss"] < best.shift(fill_value=np.inf)
    keep = np.asarray(frame.index.isin(order.index[first]))
    return _kept(frame, keep, "--frontier (flops, loss)")


def _kept(frame: pd.DataFrame, keep: NDArray[np.bool_], what: str) -> pd.DataFrame:
    attrs = dict(frame.attrs)
    note = f"{what} keeps {int(keep.sum())} of {len(keep)} rows"
    frame = frame[keep].copy()
    frame.attrs = {**attrs, "notes": [*attrs["notes"], note]}
    return frame
