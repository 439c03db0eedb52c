"""Where programs report: one source a file, and their registry ``SOURCES``."""

from __future__ import annotations

from scaling.programs.readers.reading import Reading
from scaling.programs.readers.registry import SOURCES
from scaling.programs.readers.reports import Report, Reports
from scaling.programs.readers.source import Places

__all__ = ["SOURCES", "Places", "Reading", "Report", "Reports"]
