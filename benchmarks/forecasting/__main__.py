"""Forecasts of public tables, beside simpler ones: scores, a table and a figure.

Run: ``OMP_NUM_THREADS=1 python benchmarks/forecasting [FOLDER] [--only TABLE ...]
[--methods METHOD ...] [--out DIR]``. FOLDER holds the tables, those of other laws in its subfolder
``laws``; it is ``tests/published/data`` unless given. DIR, ``build/forecasting`` unless given, gets
``records.json`` (each method on each split, each plan), ``tables.md`` and ``tables.png``. Records
are written table by table, and those of other tables and methods stay, so that some can be run
again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backtests import backtests, by_table, unanswered
from plan_test import plan_tests, plans_by_table
from show import figure, markdown
from tables import tables

from analysis.plotting import save
from scaling.base import jsonable, note, progress, read_json, write_atomic

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Forecasts of public tables, scored.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "tests/published/data")
    parser.add_argument("--only", nargs="+", default=(), metavar="TABLE", help="these tables")
    parser.add_argument("--methods", nargs="+", default=(), metavar="METHOD", help="these methods")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "forecasting")
    asked = parser.parse_args()
    runs = tables(asked.folder, tuple(asked.only))
    if not runs:
        parser.error(f"{asked.folder} has no such table; it is a folder of .csv files")
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "records.json"
    records = read_json(path) or {"backtests": [], "plans": []}
    with progress("tables", total=len(runs)) as advance:
        for name, table in runs.items():
            again = backtests(name, table, asked.methods)
            kept = [r for r in records["backtests"] if not _replaced(r, name, asked.methods)]
            records["backtests"] = [*kept, *again]
            kept = [r for r in records["plans"] if r["table"] != name]
            records["plans"] = [*kept, *plan_tests(name, table)]
            write_atomic(path, json.dumps(jsonable(records), indent=1) + "\n")
            advance(1)
    each, plans = by_table(records["backtests"]), plans_by_table(records["plans"])
    text = markdown(each, unanswered(records["backtests"]), plans)
    write_atomic(asked.out / "tables.md", text)
    save(figure(each, plans), asked.out / "tables.png")
    print(text)
    note(f"written to {asked.out}")


def _replaced(record: dict[str, Any], table: str, methods: Sequence[str]) -> bool:
    """Whether a record is made again; ``all`` is that of a split that no method is tried on."""
    if record["table"] != table:
        return False
    return not methods or record["method"] in (*methods, "all")


if __name__ == "__main__":
    main()
