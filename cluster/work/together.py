"""Runs of one shape that a worker trains as one computation: which, and how each one ends."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.work.lease import Lease
from cluster.work.monitored import monitored
from cluster.work.submission import Queue
from cluster.work.trunks import tidy
from scaling import RunSpec, read_spec
from scaling.base import Store, is_full
from scaling.run import LOG
from scaling.training import ensemble_key, most_members
from scaling.world import os, time
from sweeps import Resources

# A run whose workers died so often, without a checkpoint between, is tried by itself: it may be
# what they died of, and the others must not be taken with it.
MOST_DEATHS = 1

Task = tuple[str, ...]
Claim = Callable[[Task, str], Lease | None]
Chain = tuple[Task, Lease]


@dataclass
class Company:
    """Finds what may train beside a run, and trains it.

    Attributes
    ----------
    rows : mapping
        The sweep's rows by ``run_id``.
    claim : callable
        Claims the task of a run that is open.
    """

    store: Store
    queue: Queue
    rows: Mapping[str, Mapping[str, Any]]
    resources: Resources
    claim: Claim
    _keys: dict[str, str | None] = field(default_factory=dict)

    def beside(self, task: Task, lease: Lease, others: Sequence[Task]) -> list[Chain]:
        """The task itself, and further ones of its shape, claimed: a fair part of what is open.

        With several workers each takes its part of the open runs, up to ``resources.ensemble``,
        and on a CPU no more than its caches hold.
        """
        group = [(task, lease)]
        ready = self._open(task)
        key = self._key(ready[0]) if ready else None
        if key is None or lease.after_death > MOST_DEATHS:
            return group
        fitting = most_members(self._spec(ready[0]), self.resources.device)
        alike = [(other, ready[0]) for other in others if (ready := self._open(other))]
        alike = [(other, run_id) for other, run_id in alike if self._key(run_id) == key]
        part = math.ceil((1 + len(alike)) / max(1, self.queue.workers))
        most = min(self.resources.ensemble, part, fitting)
        for other, run_id in alike:
            if len(group) >= most:
                break
            found = self.claim(other, run_id)
            if found is not None and found.after_death > MOST_DEATHS:
                found.release()
            elif found is not None:
                group.append((other, found))
        return group

    def train(
        self, group: Sequence[Chain], stop_of: Callable[[str, Lease], Callable[[], bool]], stop: Any
    ) -> tuple[int, list[Chain]]:
        """Train the runs of a group, of each task one after another.

        Returns
        -------
        int
            How many ended.
        list
            What is left to be done alone: a single chain, or all of them after an error.
        """
        count, tried = 0, set[str]()
        while not stop():
            now = []
            for task, lease in group:
                ready = [i for i in self._open(task) if i not in tried] if lease.held() else []
                now += [(ready[0], task, lease)] if ready else []
            if len(now) < 2:
                return count, [(task, lease) for _, task, lease in now]
            tried |= {run_id for run_id, _, _ in now}
            try:
                statuses = self._train([(i, lease) for i, _, lease in now], stop_of)
            except Exception as error:
                if is_full(error):
                    raise
                return count, list(group)
            count += sum(status != "stopped" for status in statuses)
        return count, []

    def _train(
        self,
        members: Sequence[tuple[str, Lease]],
        stop_of: Callable[[str, Lease], Callable[[], bool]],
    ) -> list[str]:
        from scaling.training import Entry, train_ensemble  # they load torch

        store, given = self.store, self.resources
        specs = [self._spec(run_id) for run_id, _ in members]
        entries = [
            Entry(
                spec,
                store.run_dir(run_id),
                trunk_dir=store.trunk_dir(spec.trunk_id) if spec.trunk_id else None,
                epoch=lease.epoch,
                held=lease.held,
                should_stop=stop_of(run_id, lease),
                keep=self.queue.keep,
            )
            for spec, (run_id, lease) in zip(specs, members, strict=True)
        ]
        with self._logs([run_id for run_id, _ in members]) as say:
            try:
                folders = [(store.run_dir(run_id), lease) for run_id, lease in members]
                with monitored(folders, given, lambda words: say([words])):
                    outcomes = train_ensemble(
                        entries,
                        device=given.device,
                        threads=given.threads,
                        checkpoint_seconds=given.checkpoint_seconds,
                    )
            except Exception:
                say([f"{traceback.format_exc()}\nthe ensemble failed: its runs train alone"])
                raise
            say([outcome.status for outcome in outcomes])
        for spec, (_, lease) in zip(specs, members, strict=True):
            if spec.trunk_id and lease.held():
                tidy(store, spec.trunk_id)
        return [outcome.status for outcome in outcomes]

    @contextlib.contextmanager
    def _logs(self, run_ids: Sequence[str]) -> Iterator[Callable[[Sequence[str]], None]]:
        """Say in each run's log that it begins; the function says more, one word for all or each.

        Files are open only while something is written: an ensemble may have many.
        """

        def say(words: Sequence[str]) -> None:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            for i, run_id in enumerate(run_ids):
                folder = self.store.run_dir(run_id)
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / LOG).open("a", encoding="utf-8") as log:
                    print(f"{now} {words[i if len(words) > 1 else 0]}", file=log)

        say([f"begin in an ensemble of {len(run_ids)} in process {os.getpid()}"])
        yield say

    def _open(self, task: Task) -> list[str]:
        return [run_id for run_id in task if self.queue.is_open(self.store, run_id)]

    def _spec(self, run_id: str) -> RunSpec:
        spec = read_spec(self.rows[run_id]["spec"])
        assert isinstance(spec, RunSpec)
        return spec

    def _key(self, run_id: str) -> str | None:
        if run_id not in self._keys:
            spec = read_spec(self.rows[run_id]["spec"])
            self._keys[run_id] = ensemble_key(spec) if isinstance(spec, RunSpec) else None
        return self._keys[run_id]
