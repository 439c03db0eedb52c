"""Failures by their cause: how many, what they last said, and what retries just those."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.logs import LOG, job_log, log_tail
from sweeps.resources import megabytes

if TYPE_CHECKING:
    from cluster.status import RunStatus
    from scaling.store import Store

TAIL_LINES = 3
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


@dataclass(frozen=True)
class Failure:
    """The runs that one cause broke.

    Attributes
    ----------
    cause : str
        One of :data:`NAMES`.
    runs : tuple of RunStatus
    reason : str
        The most frequent one, the numbers in it left out when counting.
    log_tail : str
        The last lines of one run's log.
    remedy : str
        The command that retries these runs; for runs with a result, what to change.
    """

    cause: str
    runs: tuple[RunStatus, ...]
    reason: str
    log_tail: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "cause": self.cause,
            "count": len(self.runs),
            "reason": self.reason,
            "log_tail": self.log_tail,
            "remedy": self.remedy,
            "run_ids": [run.run_id for run in self.runs],
        }


def group_failures(
    name: str,
    runs: Sequence[RunStatus],
    store: Store,
    resources: Mapping[str, Mapping[str, Any]],
) -> list[Failure]:
    """Broken runs by cause, the most frequent first.

    Parameters
    ----------
    name : str
        The sweep.
    runs : list of RunStatus
    store : Store
    resources : dict
        What each run could use, by ``run_id``.
    """
    groups: dict[str, list[RunStatus]] = {}
    for run in runs:
        if run.cause:
            groups.setdefault(run.cause, []).append(run)
    return [
        Failure(
            cause,
            tuple(group),
            _usual_reason(group),
            _tail(group, store, name),
            _remedy(name, cause, group, [resources.get(run.run_id, {}) for run in group]),
        )
        for cause, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def cause_of_job(log: Path) -> str:
    """The cause of a job's failure that only its log tells: a missing import; else ``other``."""
    return "import" if _PATTERNS["import"].search(log_tail(log, LOOK_BACK_LINES)) else "other"


def out_of_memory(log: Path, by: str = "") -> str:
    """The last line (of ``by``) of a job's log that tells of a lack of memory; empty if none."""
    lines = [line for line in log_tail(log, LOOK_BACK_LINES).splitlines() if by in line]
    return next((line for line in reversed(lines) if _PATTERNS["oom"].search(line)), "")


def _usual_reason(group: Sequence[RunStatus]) -> str:
    """The first reason of the most frequent kind; numbers and names of jobs do not matter."""
    kinds = Counter(re.sub(r"\d+", "#", run.reason) for run in group)
    usual = kinds.most_common(1)[0][0]
    return next(run.reason for run in group if re.sub(r"\d+", "#", run.reason) == usual)


def _remedy(
    name: str, cause: str, group: Sequence[RunStatus], resources: Sequence[Mapping[str, Any]]
) -> str:
    if all(run.state == "diverged" for run in group):
        return "they have a result, and a retry gives the same: change lr or the schedule"
    command = f"scaling retry {shlex.quote(name)} --cause {cause}"
    memory = max(megabytes(str(had.get("memory", ""))) for had in resources)
    batches = [int(had.get("micro_batch") or had.get("batch_size") or 0) for had in resources]
    on_card = "CUDA" in group[0].reason
    if cause == "oom" and on_card and min(batches) > 1:
        return f"{command} --set micro_batch={min(batches) // 2}"
    if cause == "oom" and not on_card and memory:
        return f"{command} --set memory={_amount(2 * memory)}"
    if cause == "oom" and group[0].reason.startswith("its worker died"):
        return f"{command} --workers 1"
    minutes = max(float(had.get("minutes") or 0.0) for had in resources)
    if cause == "time" and minutes:
        return f"{command} --set minutes={2 * minutes:g}"
    return command


def _amount(megabytes: float) -> str:
    return f"{megabytes / 1024:.0f}GB" if megabytes % 1024 == 0 else f"{megabytes:.0f}MB"


def _tail(group: Sequence[RunStatus], store: Store, name: str) -> str:
    """The last lines of the log of one of the runs, or of its job where that is to blame."""
    for run in group[:20]:
        path = store.run_dir(run.run_id) / LOG
        if run.job and run.reason.startswith("job "):
            path = job_log(store.sweep_dir(name), run.job)
        if tail := log_tail(path, TAIL_LINES):
            return tail
    return ""
