"""Runs whose workers made no step any more and were killed for it, as their journals tell."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.base import read_json
from scaling.run import STATE, Journal, node_name, slurm_job
from scaling.world import os, time

STALLED = "stalled"  # an event of the journal: why, where, and in which attempt of which job


def say_stalled(run_dir: Path, since: float, reason: str) -> None:
    """Say in the journal of a run why its worker, which began it at ``since``, was killed.

    Not where another has taken the run over meanwhile.
    """
    state = read_json(run_dir / STATE) or {}
    others = (state.get("host"), state.get("job")) != (node_name(), slurm_job())
    if others and state.get("time", 0.0) > since:
        return
    journal = Journal(run_dir)
    try:
        with contextlib.suppress(OSError):
            journal.append(STALLED, reason=reason, **_here(), time=time.time())
    finally:
        journal.close()


def last_stall(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The event if that is how a run's last attempt ended, by its journal; else None."""
    turns = (e for e in reversed(events) if e["event"] in ("start", "end", STALLED))
    last = next(turns, None)
    return last if last is not None and last["event"] == STALLED else None


def stalled_here(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run's last attempt hung in this attempt of this job: others should try it."""
    last = last_stall(events)
    return last is not None and {key: last.get(key) for key in _here()} == _here()


def _here() -> dict[str, str]:
    job = f"{slurm_job()}.{os.environ.get('SLURM_RESTART_COUNT', '0')}"
    return {"host": node_name(), "attempt_of": job}
