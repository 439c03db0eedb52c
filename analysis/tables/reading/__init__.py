"""Somebody's file as a run table: numbers, units, names and shapes as people write them."""

from __future__ import annotations

from analysis.tables.reading.doubts import flagged
from analysis.tables.reading.files import (
    TableReading,
    read_rows,
    read_table,
    refuse_faults,
    understood,
)
from analysis.tables.reading.folders import tables_in
from analysis.tables.reading.likely import alike, one_variable, proposal
from analysis.tables.reading.metrics import NATS, is_error, is_score
from analysis.tables.reading.notes import Note, counted, place
from analysis.tables.reading.numbers import NotANumberError, numbers
from analysis.tables.reading.sizes import complete

__all__ = [
    "NATS",
    "NotANumberError",
    "Note",
    "TableReading",
    "alike",
    "complete",
    "counted",
    "flagged",
    "is_error",
    "is_score",
    "numbers",
    "one_variable",
    "place",
    "proposal",
    "read_rows",
    "read_table",
    "refuse_faults",
    "tables_in",
    "understood",
]
