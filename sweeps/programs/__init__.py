"""Sweeps of programs that are not ours: the ``program`` of a sweep file, and its runs' specs."""

from __future__ import annotations

from sweeps.programs.block import PROGRAM_KEYS, ProgramBlock, read_program, refuse_outside
from sweeps.programs.changed import changed_code
from sweeps.programs.runs import ProgramRuns

__all__ = [
    "PROGRAM_KEYS",
    "ProgramBlock",
    "ProgramRuns",
    "changed_code",
    "read_program",
    "refuse_outside",
]
