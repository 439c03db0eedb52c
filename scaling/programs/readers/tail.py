"""The lines of a file as they come."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

MARK = 256  # bytes before the place that was read to; others there mean that it was rewritten
CHUNK = 1 << 24


class Line(NamedTuple):
    """A line of text and its number, from 1."""

    number: int
    text: str


class Tail:
    """Reads a file on from where it was read to; from the start where it was written anew.

    A line that has no end yet waits, until ``last``.
    """

    def __init__(self, path: Path, begin: int = 0) -> None:
        self.path = path
        self._place, self._number = begin, 0
        self._mark = self._rest = b""

    def lines(self, *, last: bool = False) -> list[Line]:
        """The lines that came since the last call; with ``last`` one without an end too."""
        found: list[Line] = []
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._place or not self._is_same(file):
                    self._restart()
                file.seek(self._place)
                while data := file.read(CHUNK):
                    self._place += len(data)
                    self._mark = (self._mark + data)[-MARK:]
                    found += self._split(data)
        except (FileNotFoundError, NotADirectoryError):
            pass
        if last and self._rest:
            found += self._split(b"\n")
        return found

    def _is_same(self, file: BinaryIO) -> bool:
        file.seek(self._place - len(self._mark))
        return bool(file.read(len(self._mark)) == self._mark)

    def _restart(self) -> None:
        self._place, self._number = 0, 0
        self._mark = self._rest = b""

    def _split(self, data: bytes) -> list[Line]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = []
        for raw in whole:
            self._number += 1
            lines.append(Line(self._number, raw.decode("utf-8", errors="replace").rstrip("\r")))
        return lines
