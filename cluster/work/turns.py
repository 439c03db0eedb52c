"""Whose turn it is among sweeps of one root: which has to end before, and which goes first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cluster.work.starting import is_starting
from cluster.work.submission import Queue, ask_about, read_queues
from scaling.base import Store, note
from scaling.run import known_sweeps
from scaling.world import time
from sweeps import Policy

LOOK_SECONDS = 5.0
SLURM_SECONDS = 30.0  # a controller has others to serve
LOOK_SHARE = 50  # a look takes at most one part in so many of the time


def live_others(store: Store, names: Sequence[str]) -> dict[str, list[Queue]]:
    """The sweeps among ``names`` that somebody works on, with the submissions that are live."""
    found = {}
    for name in names:
        queues = read_queues(store.sweep_dir(name))
        said = ask_about(queues)
        live = [queue for queue in queues if queue.is_live(said)]
        if live or is_starting(store.sweep_dir(name)):
            found[name] = live
    return found


def wait_for_others(store: Store, queue: Queue, stop: Callable[[], bool]) -> None:
    """Wait until the sweeps that a submission comes ``after`` have ended."""
    names, told = Policy.parse(queue.policy).after, False
    while names and not stop() and not queue.is_stopped:
        live = live_others(store, names)
        if not live:
            return
        if not told:
            note(f"waits until sweep {', '.join(live)} has ended")
            told = True
        on_slurm = any(q.slurm_jobs for queues in live.values() for q in queues)
        until = time.monotonic() + (SLURM_SECONDS if on_slurm else LOOK_SECONDS)
        while time.monotonic() < until and not stop():
            time.sleep(0.2)


def check_after(store: Store, name: str, after: Sequence[str]) -> None:
    """Refuse to come after a sweep that is not there, or that itself waits for this one.

    Raises
    ------
    ValueError
        With what to do instead.
    """
    known = known_sweeps(store) if after else []
    seen: dict[str, str] = {}
    left = [(one, name) for one in after]
    while left:
        one, by = left.pop()
        if one == name:
            raise ValueError(
                f"after: {name!r} would wait for itself (through {by!r}): leave it out"
            )
        if one not in known:
            listed = ", ".join(known[:5]) or "none"
            raise ValueError(
                f"after: no sweep {one!r} under {store.root} (there are {listed}): "
                "submit that one first"
            )
        if one not in seen:
            seen[one] = by
            queues = read_queues(store.sweep_dir(one))
            waits = queues[-1].policy.get("after", ()) if queues else ()
            left += [(other, one) for other in waits]


def jobs_before(store: Store, after: Sequence[str]) -> list[str]:
    """The SLURM jobs of the sweeps that one comes ``after``, as far as they still run or wait.

    Raises
    ------
    ValueError
        Where the end of one of them is nothing that SLURM can wait for.
    """
    jobs: list[str] = []
    for name, queues in live_others(store, after).items():
        for queue in queues:
            if queue.live_processes or not queue.slurm_jobs:
                raise ValueError(
                    f"after: sweep {name!r} has workers outside of SLURM or jobs that are not sent "
                    "yet, whose end SLURM cannot wait for: submit this one when it has ended "
                    f"(`scaling status {shlex.quote(name)} --watch`)"
                )
            jobs += [*queue.slurm_jobs, *queue.canary]
    return jobs


@dataclass
class Precedence:
    """Whether a sweep of a higher priority waits for a worker on this machine; seldom looked at."""

    store: Store
    queue: Queue
    _answer: bool = False
    _again: float = field(default=float("-inf"))

    def waits(self) -> bool:
        """Whether workers of this submission should begin nothing at this moment."""
        began = time.monotonic()
        if began > self._again:
            self._answer = self._look()
            spent = time.monotonic() - began
            self._again = began + max(LOOK_SECONDS, LOOK_SHARE * spent)
        return self._answer

    def _look(self) -> bool:
        own = Policy.parse(self.queue.policy).priority
        here = self.queue.path.parents[1].name
        for name in known_sweeps(self.store):
            if name == here:
                continue
            for other in read_queues(self.store.sweep_dir(name)):
                workers = [process for process in other.processes if process.is_local]
                if not workers or int(other.policy.get("priority", 0)) <= own or other.is_stopped:
                    continue
                alive = sum(process.is_alive for process in workers)
                if alive and self._has_more(other, alive):
                    return True
        return False

    def _has_more(self, other: Queue, workers: int) -> bool:
        """Whether a submission has more to do than its workers do at this moment."""
        left = 0
        for task in other.tasks:
            left += any(other.is_open(self.store, run_id) for run_id in task)
            if left > workers:
                return True
        return False
