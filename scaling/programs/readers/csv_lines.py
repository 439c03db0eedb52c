"""CSV: a header and a row a line; an empty field is nothing said."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scaling.programs.readers.source import Found
from scaling.programs.readers.tail import Line, Tail


class CsvLines:
    """A file of comma-separated values whose first line names them."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self._header: list[str] = []

    def read(self, *, last: bool) -> Iterable[Found]:
        """The rows of new lines; a header again, as after a resume, is no row."""
        for line in self._tail.lines(last=last):
            if line.text.strip() and (found := self._row(line)):
                yield found

    def _row(self, line: Line) -> Found | None:
        place = f"line {line.number}"
        try:
            (fields,) = csv.reader([line.text], strict=True)
        except (csv.Error, ValueError):
            return Found(place, line.text, None, "no row of CSV")
        fields = [field.strip() for field in fields]
        if line.number == 1:
            self._header = fields
        if fields == self._header:
            return None
        if len(fields) != len(self._header):
            problem = f"{len(fields)} fields, and the header has {len(self._header)}"
            return Found(place, line.text, None, problem)
        named = zip(self._header, fields, strict=True)
        return Found(place, line.text, {name: number(text) for name, text in named if text})


def number(text: str) -> Any:
    """The number that a text is; the text where it is none."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
