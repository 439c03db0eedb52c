"""Where logs are, and their last lines."""

from __future__ import annotations

import os
from pathlib import Path

LOG = "log.txt"  # in a run's folder
TAIL_BYTES = 8000


def job_log(sweep_dir: Path, job_id: str) -> Path:
    """What a worker job of a sweep wrote to its error stream."""
    return sweep_dir / "logs" / f"{job_id}_0_log.err"


def log_tail(path: Path, lines: int) -> str:
    """The last ``lines`` lines of a log, blank ones left out; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def last_words(folder: Path, job_id: str) -> str:
    """The last line that a job wrote to its error log."""
    return log_tail(folder / f"{job_id}_0_log.err", 1).strip() or "no last words"
