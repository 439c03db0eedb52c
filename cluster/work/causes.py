"""What broke a run or a job, told from its state, its reason and its log."""

from __future__ import annotations

import re
from pathlib import Path

from cluster.work.logs import log_tail

LOOK_BACK_LINES = 100

CAUSES: dict[str, str] = {
    "oom": r"out of memory(?!\?)|OutOfMemory|MemoryError|oom[-_ ]kill|exceeded.* memory limit|"
    r"Unable to allocate|can't allocate memory|Cannot allocate memory",
    "killed": r"workers? died|exit code (\d+:9|137:\d+|9:0)\b|SIGKILL",
    "disk": r"No space left|Disk quota exceeded|ENOSPC|EDQUOT|Input/output error|Read-only file",
    "time": r"reached its (time limit|deadline)|DUE TO TIME LIMIT|TimeoutExpired",
    "node": r"lost its node|did not boot|could not be launched|NODE.FAIL|NCCL|"
    r"CUDA error|uncorrectable ECC|No CUDA|CUDA driver|Stale file handle|Connection reset",
    "import": r"ImportError|ModuleNotFoundError|No module named|undefined symbol|"
    r"cannot open shared object",
    "data": r"data set|fingerprint|FileNotFoundError|No such file|shard|corpus|tokeni[sz]er",
    "non-finite": r"non-?finite|\bnan\b|\binf(inity)?\b|diverged",
}
"""Cause -> what its reasons look like; the first that matches counts, else ``other``."""

NAMES = (*CAUSES, "other")
_PATTERNS = {cause: re.compile(pattern, re.IGNORECASE) for cause, pattern in CAUSES.items()}

BROKEN = ("failed", "diverged", "stalled")
"""States of runs that wait for somebody's decision."""


def cause_of(state: str, reason: str) -> str:
    """The cause of a broken run; empty for any other.

    Examples
    --------
    >>> cause_of("failed", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    'oom'
    >>> cause_of("failed", "ZeroDivisionError: division by zero")
    'other'
    """
    if state == "diverged":
        return "non-finite"
    if state not in BROKEN:
        return ""
    matches = (cause for cause, pattern in _PATTERNS.items() if pattern.search(reason))
    return next(matches, "other")


def cause_of_job(log: Path) -> str:
    """The cause of a job's failure that only its log tells: a missing import; else ``other``."""
    return "import" if _PATTERNS["import"].search(log_tail(log, LOOK_BACK_LINES)) else "other"


def out_of_memory(log: Path, by: str = "") -> str:
    """The last line (of ``by``) of a job's log that tells of a lack of memory; empty if none."""
    lines = [line for line in log_tail(log, LOOK_BACK_LINES).splitlines() if by in line]
    return next((line for line in reversed(lines) if _PATTERNS["oom"].search(line)), "")
