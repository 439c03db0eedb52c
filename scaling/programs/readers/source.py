"""What a source of reports is: records as they come, and lines that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scaling.programs.readers.reports import Record, Reports


class Found(NamedTuple):
    """One line of a source, read.

    Attributes
    ----------
    place : str
        Where it stands, for messages.
    text : str
    record : dict or None
        Names and values; None where it cannot be read.
    problem : str
        Why it cannot.
    """

    place: str
    text: str
    record: Record | None
    problem: str = ""


@dataclass(frozen=True)
class Places:
    """Where a run's program may report.

    Attributes
    ----------
    run_dir : Path
        The program's own folder.
    log : Path
        Gets what it prints.
    own : Path
        The file of ``scaling.report``.
    values : dict
        What a ``{name}`` of a template stands for.
    """

    run_dir: Path
    log: Path
    own: Path
    values: Mapping[str, Any]


class Source(Protocol):
    """Reads on from where it was; ``name`` is for messages."""

    name: str

    def __init__(self, reports: Reports, places: Places) -> None: ...

    def environment(self) -> dict[str, str]:
        """What the program needs to be told, before it begins."""
        ...

    def read(self, *, last: bool) -> Iterable[Found]:
        """What came since the last call; with ``last`` what has no end yet too."""
        ...
