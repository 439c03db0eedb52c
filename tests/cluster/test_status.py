"""Status from the runs' own folders, in every state, and for many runs."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time

import pytest

from cluster.process import ProcessId
from cluster.queue import Queue
from cluster.status import STALL_SECONDS, STATES, sweep_status
from scaling.journal import JOURNAL, STATE
from scaling.store import Store, write_atomic


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def place(home):
    """``place(run_id, events, state)`` makes a run's folder; ``place.sweep(ids)`` the sweep."""
    store = Store.at(home)

    class Place:
        def __call__(self, run_id, events=(), **state):
            folder = store.run_dir(run_id)
            folder.mkdir(parents=True)
            (folder / JOURNAL).write_text("".join(json.dumps(e) + "\n" for e in events))
            if state:
                (folder / STATE).write_text(json.dumps(state))

        def sweep(self, *run_ids):
            rows = [
                {"run_id": r, "name": f"run {r}", "num_tokens": 1000, "flops": 10.0, "spec": {}}
                for r in run_ids
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_atomic(store.sweep_dir("s") / "sweep.jsonl", lines)

        def queue(self, tasks, ends=None, jobs=()):
            Queue.new(store.sweep_dir("s"), tasks, ends or {}).with_jobs(jobs).write()

        def states(self):
            return {run.run_id: run.state for run in sweep_status("s").runs}

    return Place()


START = {"event": "start", "time": 1.0}


def running(**changes):
    here = {"host": platform.node(), "pid": ProcessId.of().pid}
    return {"state": "running", "step": 250, "time": time.time(), "seconds": 5.0, **here, **changes}


def test_each_run_is_in_the_state_that_its_folder_shows(place):
    place("done", [START, {"event": "end", "status": "done"}], state="done", step=1000, loss=2.0)
    place("diverged", [START, {"event": "end", "status": "diverged", "reason": "loss 1e9"}])
    place("failed", [START, {"event": "end", "status": "failed", "reason": "OSError: x"}])
    place("running", [START], **running())
    place("elsewhere", [START], **running(host="node7"))
    place("killed", [START], **running(pid=dead_pid()))
    place("silent", [START], **running(time=time.time() - STALL_SECONDS - 5))
    place("lost node", [START], **running(host="node7", time=time.time() - STALL_SECONDS - 5))
    place("stopped", [START], **running(state="stopped"))
    place("ended unseen", [START, {"event": "end", "status": "done"}], **running(pid=dead_pid()))
    expected = {
        "done": "done",
        "diverged": "diverged",
        "failed": "failed",
        "running": "running",
        "elsewhere": "running",
        "killed": "stalled",
        "silent": "stalled",
        "lost node": "stalled",
        "stopped": "stopped",
        "ended unseen": "done",
        "never begun": "planned",
    }
    place.sweep(*expected)
    assert place.states() == expected
    status = sweep_status("s")
    assert {run.run_id: run.reason for run in status.runs}["failed"] == "OSError: x"
    assert status.counts == {s: n for s in STATES if (n := list(expected.values()).count(s))}
    assert status.flops_total == 110.0
    # three ended with a result, and seven saw a quarter of their tokens or none
    quarter = ("running", "elsewhere", "killed", "silent", "lost node", "stopped")
    assert status.flops_done == 3 * 10.0 + len(quarter) * 2.5


def test_time_left_follows_from_the_pace_so_far(place):
    place("a", [START], **running(step=250, seconds=5.0))
    place.sweep("a")
    assert sweep_status("s").runs[0].seconds_left == pytest.approx(15.0)


def test_what_a_live_worker_will_do_is_queued(place):
    failed = [START, {"event": "end", "status": "failed", "reason": "x"}]
    place("again", failed)
    place("failed now", failed)
    place("killed", [START], **running(pid=dead_pid()))
    place.sweep("again", "failed now", "killed", "new", "not asked for")
    tasks = [("again",), ("failed now", "killed", "new")]
    place.queue(tasks, {"again": 1}, [ProcessId.of()])
    assert place.states() == {
        "again": "queued",
        "failed now": "failed",
        "killed": "queued",
        "new": "queued",
        "not asked for": "planned",
    }


def test_a_queue_whose_workers_are_dead_queues_nothing(place):
    place.sweep("a")
    place.queue([("a",)], {}, [ProcessId(*(*ProcessId.of().to_dict().values(),)[:3], "1")])
    assert place.states() == {"a": "planned"}


def test_an_unknown_sweep_is_named_with_those_that_there_are(place):
    place.sweep("a")
    with pytest.raises(ValueError, match=r"no sweep 'other' .* there are s$"):
        sweep_status("other")


def test_ten_thousand_runs_take_less_than_two_seconds(home):
    store = Store.at(home)
    lines = []
    for i in range(10_000):
        run_id = f"{i:016x}"
        row = {"run_id": run_id, "name": f"run {i}", "num_tokens": 1000, "flops": 1.0}
        lines.append(json.dumps({**row, "spec": {"model": dict.fromkeys("abcdefghij", 1)}}))
        if i % 2:
            folder = store.run_dir(run_id)
            folder.mkdir(parents=True)
            (folder / STATE).write_text(json.dumps({"state": "done", "step": 1000, "loss": 2.0}))
    store.sweep_dir("big").mkdir(parents=True)
    (store.sweep_dir("big") / "sweep.jsonl").write_text("\n".join(lines))
    began = time.process_time()
    status = sweep_status("big")
    assert time.process_time() - began < 2.0
    assert status.counts == {"done": 5000, "planned": 5000}
    assert status.flops_done == 5000.0
