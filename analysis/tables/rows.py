"""Plain values of runs as rows of the run table, each with the reason why it cannot be used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from analysis.tables.reading import complete
from scaling import CURVE_COLUMNS, FOUND_PREFIX, PLANNED_COLUMNS, RUN_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = tuple(c.name for c in RUN_COLUMNS if c.kind in ("int", "float"))
TEXTS = tuple(c.name for c in RUN_COLUMNS if c.kind == "str")
MOST_NATS = 700.0  # no float holds the exponential of much more
KEPT_APART = ("time", "tokens", "step")  # of a journal's line: no columns


def is_extra(name: str, value: Any) -> bool:
    """Whether a value of a run's end is a column that the schema does not know.

    Numbers are, and texts that are called ``found/...``.
    """
    if isinstance(value, str):
        return name.startswith(FOUND_PREFIX)
    return name not in KEPT_APART and isinstance(value, int | float)


def extra_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What some row of a curve has beyond its columns: of further sets, or a program's own."""
    known = {column.name for column in CURVE_COLUMNS}
    return sorted({name for row in rows for name in row} - known)


def why_not(status: object, reason: Any = None) -> str:
    """Why a run of this status cannot be used; empty for a finished one."""
    if status == "done":
        return ""
    words = {"planned": "not run yet", "running": "not finished"}
    return f"{status}: {reason or words[str(status)]}" if reason or status in words else str(status)


def _with_perplexity(row: dict[str, Any]) -> dict[str, Any]:
    """A row with exp(loss) where its data are tokens."""
    loss = row.get("loss")
    if row.get("data_unit") != "token" or not isinstance(loss, int | float):
        return row
    return {"perplexity": math.exp(min(loss, MOST_NATS)), **row}


def run_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of plain values as the run table: the schema's columns in its order, then others."""
    import pandas as pd

    rows = [_with_perplexity(row) for row in rows]
    known = dict.fromkeys(c.name for c in RUN_COLUMNS)
    said = dict.fromkeys(chain.from_iterable(rows))
    names = [name for name in known if name in said]
    own = [name for name in said if name not in known]
    own.sort(key=lambda name: name if "/" in name else "")  # options as they come, then eval/...
    frame = pd.DataFrame(rows, columns=[*names, *own])
    for name in PLANNED_COLUMNS:
        if (planned := f"{name}_planned") in names:  # some stopped early, the others did not
            frame[planned] = frame[planned].fillna(frame[name])
    for name in names:
        if name in NUMBERS:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
        else:
            frame[name] = frame[name].fillna("").astype(str)
    if "loss" not in frame.columns:
        frame["loss"] = float("nan")
    notes: list[str] = []
    frame = complete(frame, [])
    if len(frame):
        unused = frame[frame["exclude_reason"] != ""]
        for reason, group in unused.groupby("exclude_reason"):
            notes.append(f"{len(group)} of {len(frame)} runs not used: {reason}")
    else:
        notes.append("there are no runs")
    frame.attrs = {"notes": notes}
    return frame
