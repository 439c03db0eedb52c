"""Tables as values: what stands in each cell, and how it is set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.wording import cut


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text : str
    kind : str
        The cell's class: ``number`` (to the right), ``wide`` (its words wrap).
    tone : str
        ``good``, ``warn`` or ``code``.
    raised : str
        An exponent after the text.
    value : float, optional
        What a column is sorted by, where that is a number.
    whole : str
        All of a text that is cut.
    """

    text: str
    kind: str = ""
    tone: str = ""
    raised: str = ""
    value: float | None = None
    whole: str = ""


Row = Sequence[Cell | str]


@dataclass(frozen=True)
class Table:
    """A table: its header, and rows as long as that; a text is a cell without a class."""

    header: Sequence[str]
    body: Sequence[Row]
    ids: Sequence[str] = ()
    """Of each row, where it is a run."""

    @property
    def rows(self) -> list[list[Cell]]:
        """The rows, each value a :class:`Cell`."""
        return [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in self.body]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each column's name, and ``number`` if any of its cells is one."""
        kinds = [{cell.kind for cell in column} for column in zip(*self.rows, strict=True)]
        kinds = kinds or [set()] * len(self.header)
        return [
            (name, "number" if "number" in kind else "")
            for name, kind in zip(self.header, kinds, strict=True)
        ]


def right(text: str, value: float | None = None) -> Cell:
    """``text`` aligned to the right, and the number that it stands for."""
    return Cell(text, "number", value=value if value is not None and math.isfinite(value) else None)


def short(text: str) -> Cell:
    """``text``, cut if it is long; the whole of it is told on hover."""
    less = cut(text)
    return Cell(less, whole=text if less != text else "")


def number(value: float, form: str = ".4g") -> Cell:
    """A right-aligned number; empty if it is not finite."""
    return right(f"{value:{form}}" if math.isfinite(value) else "", value)
