"""Runs that were trained elsewhere: read from where they are, understood, and written as ours."""

from __future__ import annotations

from scaling.importing.meaning import Reader, Stated, understand
from scaling.importing.run import ImportedRun, keep
from scaling.importing.sources import find_runs

__all__ = ["ImportedRun", "Reader", "Stated", "find_runs", "keep", "understand"]
