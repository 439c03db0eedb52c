"""A value as a short table: text for a terminal, HTML for a notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.base.templates import template
from scaling.base.terminal import format_value

_NUMBER = re.compile(r"[+-]?[\d.]+\S*")


@dataclass(frozen=True)
class Display:
    """What ``repr`` and ``_repr_html_`` of a value say: a title, a table and notes below it.

    Numbers have four significant digits; a column of them stands to the right.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()

    @property
    def cells(self) -> list[list[str]]:
        """The rows as texts."""
        return [[format_value(value) for value in row] for row in self.rows]

    @property
    def sides(self) -> list[str]:
        """``right`` for each column of numbers alone, otherwise ``left``."""
        columns = [[cell for cell in column if cell] for column in self._columns()]
        return [
            "right" if column and all(map(_NUMBER.fullmatch, column)) else "left"
            for column in columns
        ]

    @property
    def text(self) -> str:
        """Lines of plain text."""
        columns = zip(self.header, self._columns(), strict=True)
        widths = [max(map(len, (name, *column))) for name, column in columns]
        forms = [
            f"{'>' if side == 'right' else '<'}{width}"
            for side, width in zip(self.sides, widths, strict=True)
        ]
        lines = ["  ".join(map(format, row, forms)).rstrip() for row in (self.header, *self.cells)]
        return "\n".join([self.title, *lines, *self.notes])

    @property
    def html(self) -> str:
        """One ``<div>``, each text escaped."""
        return template("scaling.base", "display.html").render(
            title=self.title,
            header=self.header,
            cells=self.cells,
            sides=self.sides,
            notes=self.notes,
        )

    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(*self.cells, strict=True)) or [()] * len(self.header)
