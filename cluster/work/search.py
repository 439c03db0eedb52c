"""Searches: a worker with nothing to do asks the strategy of its sweep for one more run.

The sweep's file is the record of what was proposed, in order. It is written under its lease, and
before the submission's queue: who is killed between the two leaves a run that no queue has, which
the next to ask puts there instead of another. So each proposal is made once, and as it follows
from the runs alone, whoever makes it makes the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.work.early import EARLY
from cluster.work.submission import Queue
from cluster.work.sweep_file import rewriting, written
from scaling.base import Store, note, read_json
from scaling.run import STATE, end, read_turns, sweep_path
from sweeps import Done, Ended, Progress, Sweep, Wait, next_run, progress

_ENDINGS = ("done", "diverged", "failed", EARLY)
Tasks = list[tuple[str, ...]]


def ended_runs(store: Store, sweep: Sweep) -> dict[str, Ended]:
    """How those runs ended that did, by ``run_id``; only one that is done has a loss."""
    found = {}
    for entry in sweep:
        run_dir = store.run_dir(entry.run_id)
        last = end(read_turns(run_dir))
        if last is None or last["status"] not in _ENDINGS:
            continue
        loss, share = last.get("loss"), 1.0
        if last["status"] != "done" or loss is None:
            loss = float("inf")
            seen = last.get("tokens") or (read_json(run_dir / STATE) or {}).get("step", 0)
            share = min(1.0, float(seen) / entry.spec.num_tokens)
        found[entry.run_id] = Ended(float(loss), float(last.get("time", 0.0)), share)
    return found


def go_on(store: Store, name: str, queue: Queue) -> Wait | Done | None:
    """Put the next run of a search into a queue, or those that it lacks; None if one was."""
    with rewriting(store, name) as sweep:
        now = Queue.read(queue.path)
        ended, known = ended_runs(store, sweep), set(now.run_ids)
        lacks = [e.run_id for e in sweep if e.run_id not in known and e.run_id not in ended]
        if not lacks:
            answer = next_run(sweep, ended, root=store.root)
            if not isinstance(answer, Sweep):
                return answer
            answer.write(sweep_path(store, name))
            lacks = [answer.entries[-1].run_id]
        now.add((run_id,) for run_id in lacks)
        return None


@dataclass
class Search:
    """What one worker knows of the search that it works for.

    Attributes
    ----------
    known : set of str
        The runs of the queue that it has met.
    is_over : bool
        Whether nothing will come any more.
    """

    store: Store
    name: str
    queue: Queue
    known: set[str]
    is_over: bool = field(default=False)

    def look(self, held: Collection[tuple[str, ...]]) -> Tasks:
        """Tasks that came into the queue, after asking for one if none had.

        Nothing comes any more where the strategy waits for runs that nobody does: ``held`` are
        those that others do.
        """
        if found := self._new():
            return found
        answer = go_on(self.store, self.name, self.queue)
        found = self._new()
        if answer is not None and not found and (isinstance(answer, Done) or not held):
            self.is_over = True
            note(f"search of sweep {self.name!r} ends: {answer.reason}")
        return found

    def _new(self) -> Tasks:
        tasks = [t for t in Queue.read(self.queue.path).tasks if not self.known.issuperset(t)]
        self.known.update(run_id for task in tasks for run_id in task)
        return tasks


@dataclass(frozen=True)
class Outlook:
    """How far a search is, and what becomes of it.

    Attributes
    ----------
    progress : Progress
    end : str
        Why nothing more comes; empty as long as something does.
    """

    progress: Progress
    end: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling status --json`` prints of it."""
        return {**asdict(self.progress), "end": self.end}

    def __str__(self) -> str:
        return f"{self.progress}; {self.end}" if self.end else str(self.progress)


def outlook(store: Store, name: str) -> Outlook | None:
    """How far the search of a sweep is; None for a sweep that is none."""
    sweep = written(store, name)
    if not sweep.search:
        return None
    ended = ended_runs(store, sweep)
    answer = None
    if len(ended) == len(sweep):  # else its next run depends on how these end
        answer = next_run(sweep, ended, root=store.root)
    return Outlook(progress(sweep, ended), answer.reason if isinstance(answer, Done) else "")
