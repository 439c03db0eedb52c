"""A file that the program appends to, in the format that its name ends with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scaling.base import fill
from scaling.programs.readers.csv_lines import CsvLines
from scaling.programs.readers.json_lines import JsonLines
from scaling.programs.readers.reports import Reports
from scaling.programs.readers.source import Found, Places


class File:
    """JSON Lines or CSV at a path."""

    def __init__(self, reports: Reports, places: Places) -> None:
        path = places.run_dir / fill(reports.where[0], places.values)
        self.name = path.name
        self._lines = CsvLines(path) if path.suffix == ".csv" else JsonLines(path)

    def environment(self) -> dict[str, str]:
        """Nothing: the sweep file says where it writes."""
        return {}

    def read(self, *, last: bool) -> Iterable[Found]:
        """New lines."""
        return self._lines.read(last=last)


class Own:
    """What ``scaling.report`` appends to ``$SCALING_REPORT``."""

    name = "$SCALING_REPORT"

    def __init__(self, reports: Reports, places: Places) -> None:
        self._path: Path = places.own
        self._lines = JsonLines(places.own)

    def environment(self) -> dict[str, str]:
        """The file's path."""
        return {"SCALING_REPORT": str(self._path)}

    def read(self, *, last: bool) -> Iterable[Found]:
        """New lines."""
        return self._lines.read(last=last)
