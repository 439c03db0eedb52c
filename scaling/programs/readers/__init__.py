"""Where programs report: one source a file, and their registry ``SOURCES``."""

from __future__ import annotations

from scaling.programs.readers.csv_lines import CsvLines
from scaling.programs.readers.json_lines import JsonLines
from scaling.programs.readers.reading import Reading
from scaling.programs.readers.registry import SOURCES
from scaling.programs.readers.reports import Report, Reports
from scaling.programs.readers.source import Places
from scaling.programs.readers.tensorboard import EVENT_FILES, event_loader, scalars

__all__ = [
    "EVENT_FILES",
    "SOURCES",
    "CsvLines",
    "JsonLines",
    "Places",
    "Reading",
    "Report",
    "Reports",
    "event_loader",
    "scalars",
]
