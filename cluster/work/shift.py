"""A worker's time: how long it works, at what pace, and what fits into that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.base import Store, read_json
from scaling.run import STATE, end, read_journal
from scaling.world import time
from sweeps import Resources


@dataclass(frozen=True)
class Shift:
    """How long a worker works.

    Attributes
    ----------
    until : float or None
        When it must have stopped, in seconds since 1970.
    full_seconds : float or None
        What a fresh worker has: a run that needs more than that is not left for one.
    linger_seconds : float or None
        How long it waits for runs that others hold; None: until they are done.
    task : int or None
        The one task that it is for; None for all.
    """

    until: float | None = None
    full_seconds: float | None = None
    linger_seconds: float | None = None
    task: int | None = None


@dataclass(frozen=True)
class Turn:
    """What came of a worker's time: runs that ended, and whether it left some for lack of time."""

    done: int
    short_of_time: bool


@dataclass
class Pace:
    """FLOP/s by the last run that ended here, and what is left to do at that pace."""

    flops_per_second: float | None = field(default=None)

    def learn(self, run_dir: Path) -> None:
        """Look at a run that has just ended."""
        last = end(read_journal(run_dir)) or {}
        seconds, flops = last.get("seconds"), last.get("flops_spent")
        if seconds and flops:
            self.flops_per_second = flops / seconds

    def seconds(self, store: Store, run_ids: list[str], rows: Mapping[str, Any]) -> float:
        """What the rest of some runs will take; 0 as long as nothing is known."""
        if self.flops_per_second is None:
            return 0.0
        flops = 0.0
        for run_id in run_ids:
            state = read_json(store.run_dir(run_id) / STATE) or {}
            progress = state.get("step", 0) / max(1, rows[run_id]["num_tokens"])
            flops += float(rows[run_id]["flops"]) * (1.0 - min(1.0, progress))
        return flops / self.flops_per_second


def shift_of(resources: Resources) -> Shift:
    """From now until the worker's ``minutes`` are over."""
    if resources.minutes is None:
        return Shift()
    seconds = 60 * resources.minutes
    return Shift(until=time.time() + seconds, full_seconds=seconds)


def fits(seconds: float, shift: Shift) -> bool:
    """Whether to begin what takes so long: it ends in time, or is too long for any worker.

    The latter needs several workers one after another; it is begun in the first half of one.
    """
    assert shift.until is not None
    left = shift.until - time.time()
    if shift.full_seconds is None or seconds <= shift.full_seconds:
        return seconds <= left
    return left > shift.full_seconds / 2
