"""``runs``: an explicit list of runs, written in the sweep file or read from a plan table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from scaling import find_column
from sweeps.document import Document, Where, kind
from sweeps.kinds.grid import Options

KEYS = ("file", "columns")
SIZE_COLUMNS = ("num_params", "num_tokens")


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """One point a row: a list of mappings, or ``{file: plan.csv, columns: [lr]}``.

    The file is CSV, JSON Lines or a JSON list, such as ``scaling plan`` writes. Its columns
    ``num_params`` and ``num_tokens`` are found by their usual spellings and are taken together
    with those that ``columns`` names; the rest describes the plan, not the run. A relative path
    starts at the sweep file's folder.

    Raises
    ------
    ValueError
        If there are no rows, a column is missing, or the file is of another kind.
    """
    if isinstance(block, list):
        if not block:
            document.refuse(where, "runs is an empty list: give at least one run")
        return [document.mapping(row, (*where, i)) for i, row in enumerate(block)]
    keys = document.mapping(block, where, KEYS)
    at = (*where, "file")
    if not isinstance(keys.get("file"), str):
        document.refuse(where, "runs is a list of runs, or has file: the path of a table")
    extra = keys.get("columns", [])
    if not isinstance(extra, list) or not all(isinstance(c, str) for c in extra):
        document.refuse((*where, "columns"), f"columns must be a list of names, not {kind(extra)}")
    path = document.folder / keys["file"]
    rows = _read(document, path, at)
    if not rows:
        document.refuse(at, f"{path} has no rows")
    names = list(rows[0])
    found = {column: find_column(column, names) for column in SIZE_COLUMNS}
    found |= {column: column if column in names else None for column in extra}
    missing = [column for column, name in found.items() if name is None]
    if missing:
        document.refuse(at, f"{path} has no column {missing[0]}; it has {', '.join(names)}")
    return [_row(document, path, i, row, found, at) for i, row in enumerate(rows, start=1)]


def _row(
    document: Document, path: Path, i: int, row: Any, found: dict[str, str | None], at: Where
) -> Options:
    chosen = {column: row.get(name) for column, name in found.items()}
    empty = [column for column, value in chosen.items() if value in (None, "")]
    if empty:
        document.refuse(at, f"row {i} of {path} has no {empty[0]}")
    return chosen


def _read(document: Document, path: Path, at: Where) -> list[dict[str, Any]]:
    if not path.is_file():
        document.refuse(at, f"no file {path}")
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        elif path.suffix == ".json":
            rows = json.loads(text)
        else:
            document.refuse(at, f"{path} is not .csv, .jsonl or .json")
    except json.JSONDecodeError as error:
        document.refuse(at, f"{path}:{error.lineno}: not JSON: {error.msg}")
    except UnicodeDecodeError:
        document.refuse(at, f"{path} is not a text file")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        document.refuse(at, f"{path} is not a list of rows")
    return rows
