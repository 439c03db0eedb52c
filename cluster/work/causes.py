"""What broke a run: a code, given where it breaks, or told from the words of those who broke it.

Our own verdicts, SLURM's states and exit codes are codes already. The exceptions of torch and
Python, and what SLURM writes into a job's log, are words of others, and patterns find the cause in
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cluster.slurm import FULL, GO_ON, NO_DEVICE, NO_SETUP, STARVED, Job
from scaling.run import log_tail

LOOK_BACK_LINES = 100
SLURM_DAEMON = "slurmstepd"  # begins the lines that SLURM itself writes into a job's log

CAUSES: dict[str, str] = {
    "oom": r"out of memory(?!\?)|OutOfMemory|MemoryError|oom[-_ ]kill|exceeded.* memory limit|"
    r"Unable to allocate|can't allocate memory|Cannot allocate memory",
    "killed": r"SIGKILL|\d workers? died",  # the latter ends journals older than their "cause"
    "disk": r"No space left|Disk quota exceeded|ENOSPC|EDQUOT|Input/output error|Read-only file",
    "time": r"DUE TO TIME LIMIT|TimeoutExpired",
    "node": r"NODE.FAIL|NCCL|CUDA error|uncorrectable ECC|No CUDA|CUDA driver|Stale file handle|"
    r"Connection reset",
    "import": r"ImportError|ModuleNotFoundError|No module named|undefined symbol|"
    r"cannot open shared object",
    "data": r"data set|fingerprint|FileNotFoundError|No such file|shard|corpus|tokeni[sz]er",
    "non-finite": r"non-?finite|\bnan\b|\binf(inity)?\b|diverged",
}
"""Cause -> what its errors look like; the first that matches counts, else ``other``."""

NAMES = (*CAUSES, "stalled", "other")
_PATTERNS = {cause: re.compile(pattern, re.IGNORECASE) for cause, pattern in CAUSES.items()}

JOB_STATES = {
    "OUT_OF_MEMORY": "oom",
    "TIMEOUT": "time",
    "DEADLINE": "time",
    "NODE_FAIL": "node",
    "BOOT_FAIL": "node",
    "LAUNCH_FAILED": "node",
}
"""SLURM's words for a job that ended badly -> the cause; ``FAILED`` alone says nothing."""
EXIT_CODES = {
    f"{FULL}:0": "disk",
    f"{STARVED}:0": "oom",
    f"{NO_DEVICE}:0": "node",
    f"{GO_ON}:0": "time",
    f"{NO_SETUP}:0": "import",
    "9:0": "killed",
}


class Fault(NamedTuple):
    """What broke something, and whose log and limits are to look at.

    Attributes
    ----------
    cause : str
        One of :data:`NAMES`; empty where nothing broke.
    of : {"run", "gpu", "worker", "job"}
        The run itself, the memory of its GPU, the process that did it, or the SLURM job.
    """

    cause: str = ""
    of: Literal["run", "gpu", "worker", "job"] = "run"


def fault_of_error(error: str) -> Fault:
    """What an error of torch, Python or the system that ended a run says.

    Examples
    --------
    >>> fault_of_error("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    Fault(cause='oom', of='gpu')
    >>> fault_of_error("ZeroDivisionError: division by zero")
    Fault(cause='other', of='run')
    """
    matches = (cause for cause, pattern in _PATTERNS.items() if pattern.search(error))
    cause = next(matches, "other")
    return Fault(cause, "gpu" if cause == "oom" and "CUDA" in error else "run")


def fault_of_end(end: Mapping[str, Any]) -> Fault:
    """What broke a run, by the last event of its journal."""
    if end["status"] == "diverged":
        return Fault("non-finite")
    if end["status"] != "failed":
        return Fault()
    told = fault_of_error(str(end.get("reason") or ""))
    return told._replace(cause=end["cause"]) if "cause" in end else told


def fault_of_job(job: Job, log: Path) -> Fault:
    """What broke a SLURM job: its state or exit code, or its log, where it just failed."""
    code, _, sign = job.exit_code.partition(":")
    cause = JOB_STATES.get(job.state) or EXIT_CODES.get(job.exit_code)
    if cause is None and (code == "137" or sign == "9"):
        cause = "killed"
    return Fault(cause or _cause_in(log), "job")


def _cause_in(log: Path) -> str:
    """What only a job's log tells: SLURM's lack of memory, or a missing import; else ``other``."""
    if out_of_memory(log, SLURM_DAEMON):
        return "oom"
    return "import" if _PATTERNS["import"].search(log_tail(log, LOOK_BACK_LINES)) else "other"


def out_of_memory(log: Path, by: str = "") -> str:
    """The last line (of ``by``) of a job's log that tells of a lack of memory; empty if none."""
    lines = [line for line in log_tail(log, LOOK_BACK_LINES).splitlines() if by in line]
    return next((line for line in reversed(lines) if _PATTERNS["oom"].search(line)), "")
