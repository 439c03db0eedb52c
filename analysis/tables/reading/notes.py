"""What a reader should know of a table: notes, units, and where a row stands in its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 6
"""Lines that a note names."""


class Note(str):
    """A note on a table: a text that also says which column of the run table it is ``about``.

    ``taken`` marks the note that says what was taken for that column.
    """

    about: str
    taken: bool

    def __new__(cls, text: str, about: str = "", *, taken: bool = False) -> Note:
        """The note with that ``text``."""
        note = super().__new__(cls, text)
        note.about, note.taken = about, taken
        return note


def place(rows: pd.DataFrame | pd.Series, row: int) -> str:
    """Where row number ``row`` stands: the line of its file where that is known."""
    label = rows.index[row]
    lines: Sequence[int | str] = rows.attrs.get("lines", ())
    return _said(lines[int(label)]) if label in range(len(lines)) else f"row {row}"


def places(table: pd.DataFrame | pd.Series, rows: Iterable[int]) -> str:
    """``line 7`` or ``lines 7, 9, ...`` of rows of a table as it was read."""
    known = table.attrs.get("lines", range(2, len(table) + 2))
    lines = [known[row] for row in rows]
    shown = ", ".join(map(str, lines[:SHOWN])) + (", ..." if len(lines) > SHOWN else "")
    return shown if isinstance(lines[0], str) else f"line{'s' * (len(lines) > 1)} {shown}"


def counted(table: pd.DataFrame | pd.Series, rows: Sequence[int]) -> str:
    """``1 row (line 7)``, ``9 rows (lines 7, 9, ...)``."""
    return f"{len(rows)} row{'s' * (len(rows) != 1)} ({places(table, rows)})"


def quoted(name: str) -> str:
    """A column's name as an expression has it: between backticks where it is no plain word."""
    return name if name.isidentifier() else f"`{name}`"


def _said(line: int | str) -> str:
    return line if isinstance(line, str) else f"line {line}"
