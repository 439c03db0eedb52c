"""A submission on disk: the runs that it asked for, in order, and who does them.

A submission to SLURM has one queue for each class of resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.slurm import Answer, ask
from cluster.work.process import ProcessId
from scaling.base import Store, read_json, write_atomic
from scaling.run import NOTHING, Keep, end, read_turns
from scaling.world import secrets, time


@dataclass(frozen=True)
class Queue:
    """What one submission asked for: ``ROOT/sweeps/<name>/submissions/<id>.json``.

    Attributes
    ----------
    tasks : tuple of tuple of str
        Runs by task; see :class:`Task`.
    ends : dict
        How often each run had ended when it was submitted: a run that ends (fails) once more
        is not begun again by the same submission.
    processes : tuple of ProcessId
        The workers of this or another machine.
    slurm_jobs, canary : tuple of str
        Or the SLURM jobs (of an array the one number that stands for all its tasks), and those
        that try the smallest and the largest run before.
    own_jobs : dict
        The SLURM job of each run that has one of its own; no other does that run.
    resources : dict
        What a worker may use; see :class:`sweeps.resources.Resources`.
    workers : int
        Worker processes, or jobs at a time, that were asked for; 0 where it is not known.
    keep : Keep
        Which weights of its runs last.
    waiting : tuple of int or None
        Jobs that are not sent yet, as the site lets no more of them wait: the task that each is
        for, or None for any. ``processes`` then has who sends them.
    policy : dict
        What holds of the sweep as a whole; see :class:`sweeps.policy.Policy`.
    search : bool
        Whether a strategy adds runs; see ``cluster.work.search``.
    """

    path: Path
    tasks: tuple[tuple[str, ...], ...]
    ends: Mapping[str, int]
    processes: tuple[ProcessId, ...] = ()
    slurm_jobs: tuple[str, ...] = ()
    canary: tuple[str, ...] = ()
    own_jobs: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 0
    keep: Keep = NOTHING
    waiting: tuple[int | None, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    search: bool = False

    @classmethod
    def new(
        cls, sweep_dir: Path, tasks: Iterable[tuple[str, ...]], ends: Mapping[str, int]
    ) -> Queue:
        """A queue under a fresh name; not written yet."""
        now = time.time()
        second = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))  # names are in order of time
        name = f"{second}-{int(now % 1 * 1e6):06d}-{secrets.token_hex(3)}.json"
        return cls(sweep_dir / "submissions" / name, tuple(tasks), dict(ends))

    @property
    def run_ids(self) -> Iterator[str]:
        """Its runs, in order."""
        return (run_id for task in self.tasks for run_id in task)

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
        search = bool(value.get("search"))
        tasks = [*value["tasks"], *(_lines(_further(path)) if search else ())]
        return cls(
            path,
            tuple(dict.fromkeys(tuple(task) for task in tasks)),
            value["ends"],
            tuple(ProcessId.from_dict(process) for process in value["jobs"]),
            tuple(value.get("slurm_jobs", ())),
            tuple(value.get("canary", ())),
            value.get("own_jobs", {}),
            value.get("resources", {}),
            value.get("workers", 0),
            Keep.parse(value.get("keep")),
            tuple(value.get("waiting", ())),
            value.get("policy", {}),
            search,
        )

    def write(self) -> None:
        """Write the queue in one step."""
        value = {
            "tasks": self.tasks,
            "ends": self.ends,
            "jobs": [process.to_dict() for process in self.processes],
            "slurm_jobs": self.slurm_jobs,
            "canary": self.canary,
            "own_jobs": self.own_jobs,
            "resources": self.resources,
            "workers": self.workers,
            "keep": self.keep.marks,
            "waiting": self.waiting,
            "policy": self.policy,
            **({"search": True} if self.search else {}),
        }
        write_atomic(self.path, json.dumps(value))

    def add(self, tasks: Iterable[tuple[str, ...]]) -> None:
        """Add tasks for whoever works on it, whatever else is written of it at this moment.

        One process at a time may.
        """
        path = _further(self.path)
        text = "".join(json.dumps(task) + "\n" for task in (*_lines(path), *tasks))
        write_atomic(path, text)

    def with_processes(self, processes: Sequence[ProcessId]) -> Queue:
        """The same queue, with the workers that do it."""
        return replace(self, processes=tuple(processes))

    def stop(self) -> None:
        """Ask all workers to checkpoint and end, wherever they are, and not to come back."""
        write_atomic(self.stop_path, "")

    @property
    def stop_path(self) -> Path:
        """The file whose presence says that :meth:`stop` was called."""
        return self.path.with_suffix(".stop")

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self.stop_path.exists()

    def stop_run(self, run_id: str, reason: str = "") -> None:
        """Ask whoever does a run for this submission to checkpoint it and go on with others.

        With a ``reason`` the run ends with that, as ``stopped early``.
        """
        write_atomic(self._stopped_dir / run_id, reason)

    def stop_reason(self, run_id: str) -> str:
        """Why a run is to end early; empty if it is not."""
        try:
            return (self._stopped_dir / run_id).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def is_run_stopped(self, run_id: str) -> bool:
        """Whether :meth:`stop_run` was called for a run."""
        return (self._stopped_dir / run_id).exists()

    @property
    def stopped_runs(self) -> frozenset[str]:
        """All runs that :meth:`stop_run` was called for, in one look."""
        try:
            return frozenset(path.name for path in self._stopped_dir.iterdir())
        except FileNotFoundError:
            return frozenset()

    @property
    def _stopped_dir(self) -> Path:
        return self.path.with_suffix(".stopped")

    @property
    def live_processes(self) -> list[ProcessId]:
        """The workers that still run; those of another machine do until told to stop."""
        stopped = self.is_stopped
        return [p for p in self.processes if p.may_run and (p.is_local or not stopped)]

    def is_live(self, answer: Answer) -> bool:
        """Whether some process or SLURM job works on it or will, by what SLURM says."""
        jobs = (*self.canary, *self.slurm_jobs)
        return bool(self.live_processes) or any(answer.may_run(job) for job in jobs)

    def may_take(self, run_id: str, answer: Answer) -> bool:
        """Whether a run, as long as this is live, may still be taken up by one of its jobs.

        Beside :attr:`stopped_runs`, which no job takes up.
        """
        if not self.own_jobs or self.waits(run_id):
            return True
        return run_id in self.own_jobs and answer.may_run(self.own_jobs[run_id])

    def waits(self, run_id: str) -> bool:
        """Whether the job that does a run is not sent yet, and somebody will send it."""
        return run_id in self._waiting and bool(self.live_processes)

    @cached_property
    def _waiting(self) -> frozenset[str]:
        tasks = (self.tasks[i] for i in self.waiting if i is not None)
        return frozenset(run_id for task in tasks for run_id in task)

    def is_open(self, store: Store, run_id: str) -> bool:
        """Whether a run is still to be done for this submission."""
        if self.is_run_stopped(run_id):
            return False
        events = read_turns(store.run_dir(run_id))
        last = end(events)
        if last and last["status"] in ("done", "diverged"):
            return False
        return count_ends(events) <= self.ends.get(run_id, 0)


def _further(path: Path) -> Path:
    """The file of the tasks that were added to a submission."""
    return path.with_suffix(".tasks")


def _lines(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def count_ends(events: Sequence[Mapping[str, object]]) -> int:
    """How often a run has ended, by its journal."""
    return sum(event["event"] == "end" for event in events)


def read_queues(sweep_dir: Path) -> list[Queue]:
    """All submissions of a sweep, oldest first."""
    queues = []
    for path in sorted((sweep_dir / "submissions").glob("*.json")):
        try:
            queues.append(Queue.read(path))
        except OSError:  # replaced or removed meanwhile
            continue
    return queues


def ask_about(queues: Sequence[Queue]) -> Answer:
    """What SLURM says of the jobs of some submissions."""
    jobs = [job for queue in queues for job in (*queue.slurm_jobs, *queue.canary)]
    day = queues[0].path.stem[:8] if jobs else ""
    return ask(jobs, since=f"{day[:4]}-{day[4:6]}-{day[6:]}" if day.isdigit() else "")
