"""JSON Lines: an object a line, as ``scaling.report`` and most loggers write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from scaling.programs.readers.source import Found
from scaling.programs.readers.tail import Tail


class JsonLines:
    """A file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)

    def read(self, *, last: bool) -> Iterable[Found]:
        """The objects of new lines; blank lines are nothing."""
        for line in self._tail.lines(last=last):
            if line.text.strip():
                yield _found(f"line {line.number}", line.text)


def _found(place: str, text: str) -> Found:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return Found(place, text, None, "not JSON")
    if not isinstance(record, dict):
        return Found(place, text, None, "no JSON object")
    return Found(place, text, record)
