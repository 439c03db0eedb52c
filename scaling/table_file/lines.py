"""Where each row of a table stands in its file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

Row = tuple[int, Sequence[str]]
"""The fields of a row, with the number of its line from 0."""


class Lines(tuple[int | str, ...]):
    """Line numbers or other places of rows, kept in a frame's ``attrs``.

    pandas copies ``attrs`` deeply with every operation, which for many rows costs more than the
    operation; this is shared instead, as it cannot change.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Lines:
        return self


def on_their_lines(rows: Sequence[Row], separator: str = "\t") -> str:
    """Rows as text that has each on its line, or on the next that is free, short ones filled up.

    >>> on_their_lines([(1, ["a", "b"]), (2, ["1"])], ",")
    '\\na,b\\n1,'
    """
    width = max((len(fields) for _, fields in rows), default=0)
    out: list[str] = []
    for at, fields in rows:
        out += [""] * (at - len(out))
        written = io.StringIO()
        full = [*fields, *[""] * (width - len(fields))]
        csv.writer(written, delimiter=separator, lineterminator="").writerow(full)
        out.append(written.getvalue())
    return "\n".join(out)
