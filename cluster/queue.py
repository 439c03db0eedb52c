"""A submission on disk: the runs that it asked for, in order, and the processes that do them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.process import ProcessId
from scaling.journal import end, read_journal
from scaling.store import Store, read_json, write_atomic


@dataclass(frozen=True)
class Queue:
    """What one submission asked for: ``ROOT/sweeps/<name>/submissions/<id>.json``.

    Attributes
    ----------
    tasks : tuple of tuple of str
        Runs by task; see :mod:`cluster.tasks`.
    ends : dict
        How often each run had ended when it was submitted: a run that ends (fails) once more
        is not begun again by the same submission.
    jobs : tuple of ProcessId
        The processes that do the work.
    """

    path: Path
    tasks: tuple[tuple[str, ...], ...]
    ends: Mapping[str, int]
    jobs: tuple[ProcessId, ...] = ()

    @classmethod
    def new(
        cls, sweep_dir: Path, tasks: Iterable[tuple[str, ...]], ends: Mapping[str, int]
    ) -> Queue:
        """A queue under a fresh name; not written yet."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.json"
        return cls(sweep_dir / "submissions" / name, tuple(tasks), dict(ends))

    @classmethod
    def read(cls, path: Path) -> Queue:
        """The queue in ``path``.

        Raises
        ------
        OSError
            If it is not there.
        """
        value = read_json(path)
        if value is None:
            raise FileNotFoundError(2, "No submission", str(path))
        return cls(
            path,
            tuple(tuple(task) for task in value["tasks"]),
            value["ends"],
            tuple(ProcessId.from_dict(job) for job in value["jobs"]),
        )

    def write(self) -> None:
        """Write the queue in one step."""
        value = {
            "tasks": self.tasks,
            "ends": self.ends,
            "jobs": [job.to_dict() for job in self.jobs],
        }
        write_atomic(self.path, json.dumps(value))

    def with_jobs(self, jobs: Sequence[ProcessId]) -> Queue:
        """The same queue, with the processes that do it."""
        return Queue(self.path, self.tasks, self.ends, tuple(jobs))

    @property
    def live_jobs(self) -> list[ProcessId]:
        """The processes that still run; those of another machine count as running."""
        return [job for job in self.jobs if not job.is_local or job.is_alive]

    def is_open(self, store: Store, run_id: str) -> bool:
        """Whether a run is still to be done for this submission."""
        events = read_journal(store.run_dir(run_id))
        last = end(events)
        if last and last["status"] in ("done", "diverged"):
            return False
        return count_ends(events) <= self.ends.get(run_id, 0)


def count_ends(events: Sequence[Mapping[str, object]]) -> int:
    """How often a run has ended, by its journal."""
    return sum(event["event"] == "end" for event in events)


def live_queues(sweep_dir: Path) -> list[Queue]:
    """The submissions of a sweep that some process still works on."""
    queues = []
    for path in sorted((sweep_dir / "submissions").glob("*.json")):
        try:
            queue = Queue.read(path)
        except OSError:  # replaced or removed meanwhile
            continue
        if queue.live_jobs:
            queues.append(queue)
    return queues
