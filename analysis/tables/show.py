"""A run table as it shows itself in a notebook: the columns that say something, and the counts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.wording import cut
from scaling import RUN_COLUMNS
from scaling.base import Display, format_value

ROWS = 12
COLUMNS = 10
_FIRST = ("run_id", "name", "num_params", "num_tokens", "flops", "loss")
_OPTIONS = ("lr", "batch_size", "seed")  # columns of every table; shown where they differ
_SPARE = ("perplexity",)
_LAST = ("status", "exclude_reason")


class RunTable(pd.DataFrame):
    """A DataFrame whose HTML is a short table of its runs; what is made from it is a plain one."""

    @classmethod
    def of(cls, frame: pd.DataFrame) -> RunTable:
        """The same values, ``attrs`` included."""
        table = cls(frame)
        table.attrs = frame.attrs
        return table

    def _repr_html_(self) -> str:
        return display(self).html


def display(table: pd.DataFrame) -> Display:
    """The first runs; how many there are, which are left out and why, what else is known."""
    names = said(table, COLUMNS)
    rows = [
        [cut(value) if isinstance(value, str) else _number(value) for value in row]
        for row in table[names].head(ROWS).itertuples(index=False, name=None)
    ]
    notes = [f"and {len(table) - ROWS} more runs"] if len(table) > ROWS else []
    if "exclude_reason" in table.columns:
        counts = table["exclude_reason"][lambda reasons: reasons != ""].value_counts()
        notes += [f"{count} left out: {cut(str(reason))}" for reason, count in counts.items()]
    further = [str(name) for name in table.columns if name not in names]
    if further:
        shown = ", ".join(further[:COLUMNS])
        more = f" and {len(further) - COLUMNS} more" if len(further) > COLUMNS else ""
        notes.append(f"further columns: {shown}{more}")
    return Display(f"{len(table)} runs", [str(name) for name in names], rows, notes)


def said(table: pd.DataFrame, most: int) -> list[str]:
    """The columns to show of a run table: what it is, what differs between runs, how it ended.

    Perplexity, which the loss says too, only where there is room; the reason of those left out is
    last and begins with their status.
    """
    known = {column.name for column in RUN_COLUMNS} - {*_OPTIONS}
    first, spare, last = (
        [name for name in names if name in table.columns and _says(table[name])]
        for names in (_FIRST, _SPARE, _LAST)
    )
    own = [name for name in table.columns if name not in known]
    own = [name for name in own if name not in _OPTIONS or table[name].nunique() > 1]
    last = last[-1:]
    return [*first, *(own + spare)[: max(most - len(first + last), 0)], *last]


def _says(values: pd.Series) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype(str) != "")).any())


def _number(value: Any) -> str:
    return "" if pd.isna(value) else format_value(value)
