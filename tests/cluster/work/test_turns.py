"""Sweeps that come after others, and those of a higher priority first."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.work import turns, worker
from cluster.work.process import ProcessId
from cluster.work.submission import Queue
from cluster.work.turns import Precedence, check_after, wait_for_others
from scaling.base import Store, write_atomic
from scaling.run import write_journal
from sweeps.policy import Policy

pytestmark = pytest.mark.usefixtures("store_ready")


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def queue_of(store, name, run_ids=("a",), process=None, **policy):
    folder = store.sweep_dir(name)
    write_atomic(folder / "sweep.jsonl", "{}")
    queue = Queue.new(folder, [(run_id,) for run_id in run_ids], {})
    queue = replace(queue, policy=Policy(**policy).to_dict())
    queue = queue.with_processes([ProcessId.of(process.pid)] if process else [])
    queue.write()
    return queue


def test_workers_wait_until_nobody_works_on_the_other(home, sleeper, monkeypatch):
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.1)
    store = Store.at(home)
    queue_of(store, "first", process=sleeper)
    later = queue_of(store, "later", after=("first",))
    asked = []

    def stop():
        asked.append(1)
        if len(asked) == 3:
            sleeper.kill()
            sleeper.wait()
        assert len(asked) < 1000
        return False

    wait_for_others(store, later, stop)
    assert len(asked) >= 3


def test_status_says_which_sweep_is_waited_for(home, sleeper):
    store = Store.at(home)
    queue_of(store, "first", process=sleeper)
    queue = queue_of(store, "later", after=("first",))
    queue.with_processes([ProcessId.of(os.getpid())]).write()
    rows = [{"run_id": "a", "name": "a", "spec": {}}]
    (run,) = sweep_status("later", home, rows=rows).runs
    assert (run.state, run.reason) == ("queued", "after sweep first")


def test_one_cannot_come_after_itself_or_nothing(make_sweep, home):
    store = Store.at(home)
    queue_of(store, "b", after=("a",))
    with pytest.raises(ValueError, match="'a' would wait for itself \\(through 'b'\\)"):
        check_after(store, "a", ["b"])
    with pytest.raises(ValueError, match=r"no sweep 'x' under .* \(there are b\): submit that"):
        submit(replace(make_sweep(), policy=Policy(after=("x",))), on="inline")


@pytest.mark.parametrize(
    ("priority", "done", "waits"), [(1, 0, True), (0, 0, False), (-1, 0, False), (1, 2, False)]
)
def test_a_higher_priority_that_has_more_than_its_workers_goes_first(
    priority, done, waits, home, sleeper
):
    """One worker and three runs: two wait for one; with two of them done none does."""
    store = Store.at(home)
    queue_of(store, "urgent", "abc", process=sleeper, priority=priority)
    for run_id in "abc"[:done]:
        end = {"event": "end", "status": "done"}
        write_journal(store.run_dir(run_id), [{"event": "start"}, end])
    assert Precedence(store, queue_of(store, "later")).waits() is waits


def test_a_sweep_that_gives_way_goes_on_when_the_other_has_ended(
    make_sweep, home, sleeper, monkeypatch
):
    for module in (turns, worker):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    store = Store.at(home)
    queue_of(store, "urgent", "abc", process=sleeper, priority=3)
    looks = []
    look = Precedence._look

    def seen(self):
        looks.append(look(self))
        if len(looks) == 2:
            sleeper.kill()
            sleeper.wait()
        return looks[-1]

    monkeypatch.setattr(Precedence, "_look", seen)
    submit(make_sweep(), on="inline")
    assert looks[:2] == [True, True] and not looks[-1]
    assert sweep_status("tiny").counts == {"done": 1}
