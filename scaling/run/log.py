"""What a run prints: its log, and the last lines of one."""

from __future__ import annotations

import os
from pathlib import Path

LOG = "log.txt"  # in a run's folder
TAIL_BYTES = 8000


def log_tail(path: Path, lines: int, since: int = 0) -> str:
    """The last ``lines`` lines of a log, blank ones left out; empty if there is none.

    ``since`` is the byte at which what counts begins.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(since, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
