"""A run table as a file, or as plain rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling import RUN_COLUMNS
from scaling.base import jsonable

if TYPE_CHECKING:
    import pandas as pd


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as ``.csv``, ``.jsonl`` or ``.parquet``.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl", ".parquet"):
        raise ValueError(f"{path}: a table is written as .csv, .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".parquet":
        _counted(table).to_parquet(path, index=False)
    elif kind == ".csv":
        _counted(table).to_csv(path, index=False)
    else:
        rows = records(table)
        path.write_text("".join(json.dumps(jsonable(row)) + "\n" for row in rows))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a run table as plain values; what is missing is None."""
    counted = _counted(table)
    rows = counted.astype(object).where(counted.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """The run table with counts as integers, where a column's are whole and fit into 64 bits."""
    counts = {}
    for column in RUN_COLUMNS:
        if column.kind == "int" and column.name in table.columns:
            values = table[column.name].dropna()
            if (values % 1 == 0).all() and (values.abs() < 2.0**63).all():
                counts[column.name] = "Int64"
    return table.astype(counts)
