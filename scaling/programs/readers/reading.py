"""The reports of one run as they come, and what could not be read of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from scaling.programs.readers.registry import SOURCES
from scaling.programs.readers.reports import Report, Reports
from scaling.programs.readers.source import Places

SHOWN = 80  # characters of a line that cannot be read


class Reading:
    """Reads a run's reports; what cannot be read is counted, and the first of it kept.

    Attributes
    ----------
    bad : set of str
        The places that could not be read.
    first : str
        The first of them: its place, what is wrong, and its text.

    Raises
    ------
    ValueError
        If the source cannot be opened: a template without its value, a library that is missing.
    """

    def __init__(self, reports: Reports, places: Places, tokens_per_step: int) -> None:
        if reports.unit == "steps" and not tokens_per_step:
            raise ValueError(
                "reports: unit steps needs tokens_per_step in the sweep file's program"
            )
        self.reports, self.tokens_per_step = reports, tokens_per_step
        self.source = SOURCES[reports.source](reports, places)
        self.bad: set[str] = set()
        self.first = ""

    def new(self, *, last: bool = False) -> Iterator[Report]:
        """The reports since the last call; with ``last`` a line without an end too."""
        for place, text, record, problem in self.source.read(last=last):
            if record is not None:
                try:
                    yield self.reports.understand(record, self.tokens_per_step)
                    continue
                except ValueError as error:
                    problem = str(error)
            if not self.bad:
                shown = textwrap.shorten(text, SHOWN, placeholder=" ...")
                self.first = f"{place}: {problem}: {shown!r}"
            self.bad.add(place)

    @property
    def problem(self) -> str:
        """What could not be read, in one line; empty where nothing."""
        if not self.bad:
            return ""
        count = f"{len(self.bad)} lines" if len(self.bad) > 1 else "1 line"
        return f"{count} of {self.source.name} could not be read, the first: {self.first}"
