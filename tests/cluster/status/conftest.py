"""A sweep whose runs' folders say what a test wants."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from cluster.status.sweep import sweep_status
from cluster.work.submission import Queue
from scaling.base import Store, write_atomic
from scaling.run.journal import JOURNAL, STATE


@pytest.fixture
def place(home):
    """``place(run_id, events, state)`` makes a run's folder; ``place.sweep(ids)`` the sweep."""
    store = Store.at(home)

    class Place:
        def __call__(self, run_id, events=(), clock=0.0, **state):
            folder = store.run_dir(run_id)
            folder.mkdir(parents=True)
            (folder / JOURNAL).write_text("".join(json.dumps(e) + "\n" for e in events))
            if state:
                (folder / STATE).write_text(json.dumps(state))
                written = state.get("time", 0.0) - clock  # the file system's
                os.utime(folder / STATE, (written, written))

        def sweep(self, *run_ids):
            rows = [
                {"run_id": r, "name": f"run {r}", "num_tokens": 1000, "flops": 10.0, "spec": {}}
                for r in run_ids
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_atomic(store.sweep_dir("s") / "sweep.jsonl", lines)

        def queue(self, tasks, ends=None, jobs=(), **options):
            queue = Queue.new(store.sweep_dir("s"), tasks, ends or {}).with_processes(jobs)
            replace(queue, **options).write()
            return queue

        def states(self, answer=None):
            return {run.run_id: run.state for run in sweep_status("s", answer=answer).runs}

    return Place()
