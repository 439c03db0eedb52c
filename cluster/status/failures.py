"""Failures by their cause: how many, what they last said, and what retries just those."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.work import NAMES, job_log
from scaling.base import refuse_unknown
from scaling.run import LOG, log_tail
from sweeps import megabytes

if TYPE_CHECKING:
    from cluster.status.run_status import RunStatus
    from scaling.base import Store

TAIL_LINES = 3


@dataclass(frozen=True)
class Failure:
    """The runs that one cause broke.

    Attributes
    ----------
    cause : str
        One of :data:`cluster.work.causes.NAMES`.
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


def broken_by(name: str, runs: Sequence[RunStatus], causes: Sequence[str]) -> set[str]:
    """The runs that one of ``causes`` broke and that a retry may mend.

    Raises
    ------
    ValueError
        If there are none, or a cause is not known.
    """
    for cause in causes:
        if cause not in NAMES:
            refuse_unknown(cause, NAMES, "cause")
    broken = [run for run in runs if run.cause]
    chosen = {r.run_id for r in broken if r.cause in causes and r.state != "diverged"}
    if not chosen:
        counted = Counter(run.cause for run in broken if run.state != "diverged")
        there = ", ".join(f"{cause} ({count})" for cause, count in counted.items())
        diverged = sum(run.state == "diverged" for run in broken)
        also = f"; {diverged} diverged, and would again: change lr or the schedule"
        raise ValueError(
            f"no run of {name!r} to retry for the cause {' or '.join(causes)}: there are "
            f"{there or 'no other failures'}" + (also if diverged else "")
        )
    return chosen


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
    whose = group[0].fault.of
    if cause == "oom" and whose == "gpu" and min(batches) > 1:
        return f"{command} --set micro_batch={min(batches) // 2}"
    if cause == "oom" and whose != "gpu" and memory:
        return f"{command} --set memory={_amount(2 * memory)}"
    if cause == "oom" and whose == "worker":
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
        if run.fault.of == "job":
            path = job_log(store.sweep_dir(name), run.job)
        if tail := log_tail(path, TAIL_LINES):
            return tail
    return ""
