"""What a program prints, by patterns with named groups."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scaling.programs.readers.csv_lines import number
from scaling.programs.readers.reports import Reports
from scaling.programs.readers.source import Found, Places
from scaling.programs.readers.tail import Tail


class Stdout:
    """Lines of the run's log, from where this attempt begins; a line may hold several matches.

    Where a pattern has no group for the step, a report is of the last step that was printed.
    """

    name = "its output"

    def __init__(self, reports: Reports, places: Places) -> None:
        self._patterns = [re.compile(pattern) for pattern in reports.where]
        self._step_name = reports.step
        self._step: dict[str, object] = {}
        begin = places.log.stat().st_size if places.log.exists() else 0
        self._tail = Tail(places.log, begin)

    def environment(self) -> dict[str, str]:
        """Lines as they are printed, of Python programs too."""
        return {"PYTHONUNBUFFERED": "1"}

    def read(self, *, last: bool) -> Iterable[Found]:
        """The matches in new lines; a progress bar's carriage return ends one too."""
        for line in self._tail.lines(last=last):
            for text in line.text.split("\r"):
                for pattern in self._patterns:
                    for match in pattern.finditer(text):
                        yield self._found(line.number, text, match)

    def _found(self, line: int, text: str, match: re.Match[str]) -> Found:
        named = match.groupdict().items()
        record = {name: number(value) for name, value in named if value is not None}
        if self._step_name in record:
            self._step = {self._step_name: record[self._step_name]}
        return Found(f"line {line}", text, {**self._step, **record})
