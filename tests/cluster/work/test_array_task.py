"""A SLURM job: how long it works, when it comes back, and how it asks to."""

from __future__ import annotations

import time

import pytest

from cluster.slurm import Reply
from cluster.work import array_task as tasks
from cluster.work.array_task import _go_on_later, _shift
from cluster.work.foreman import Foreman
from cluster.work.submission import Queue
from cluster.work.worker import Shift
from scaling.base import Store, write_atomic
from scaling.base.errors import WorkError
from sweeps.resources import Resources


@pytest.fixture
def foreman(home):
    """``foreman(run_ids)``: a foreman of a queue with these runs."""

    def make(run_ids=("a",)):
        store = Store.at(home)
        queue = Queue.new(store.sweep_dir("s"), [(run_id,) for run_id in run_ids], {})
        queue.write()
        return Foreman(store, "s", queue, Resources(), Shift(), lambda: False)

    return make


@pytest.mark.parametrize("skew", [-7200.0, -600.0, 600.0, 7200.0])
def test_a_nodes_clock_may_differ_from_slurms(monkeypatch, skew):
    """Else each job on that node would end at once, or be killed at its limit."""
    now = time.time()
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(now + 3600 + skew)))
    assert _shift(Resources(minutes=60), None).until == pytest.approx(now + 3600 - 120, abs=5)


def test_a_job_works_until_its_end_less_the_margin(monkeypatch):
    end = time.time() + 3600
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(end)))
    shift = _shift(Resources(minutes=60), None)
    assert shift.until == pytest.approx(end - 120, abs=2)
    assert shift.full_seconds == pytest.approx(3600 - 120)
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    assert _shift(Resources(minutes=60), None).until == pytest.approx(end - 120, abs=5)
    assert _shift(Resources(), None).until is None
    assert _shift(Resources(), 3).linger_seconds is None  # a job of its own waits for its run


def test_a_job_with_runs_left_goes_back_into_the_queue(foreman, monkeypatch):
    asked = []

    def run(command, patience):
        asked.append(command)
        return Reply("scontrol")

    monkeypatch.setattr(tasks, "run", run)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = foreman(("a", "b"))
    run_dir = one.store.run_dir("a")
    write_atomic(
        run_dir / "metrics.jsonl", '{"event": "start"}\n{"event": "end", "status": "done"}'
    )
    _go_on_later(one.store, one.queue, Shift(task=0), one)
    assert asked == []  # its only run is done
    _go_on_later(one.store, one.queue, Shift(), one)
    assert asked.pop() == ["scontrol", "requeue", "17"]
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "16")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    _go_on_later(one.store, one.queue, Shift(), one)
    assert asked.pop() == ["scontrol", "requeue", "16_3"]


@pytest.mark.parametrize(
    ("problem", "tries"),
    [
        ("Unable to contact slurm controller (connect failure)", 3),
        ("Unexpected message received for job 17", 3),  # the same, of an array's task
        ("Job is pending", 1),
    ],
)
def test_a_job_waits_for_a_controller_that_is_away(foreman, monkeypatch, problem, tries):
    asked = []

    def run(command, patience):
        asked.append(command)
        if len(asked) == 2:
            return Reply("scontrol", failure="silent", words=f"nothing within {patience} s")
        return Reply("scontrol", failure="refused" if len(asked) < 3 else "", words=problem)

    monkeypatch.setattr(tasks, "run", run)
    monkeypatch.setattr(tasks, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = foreman()
    _go_on_later(one.store, one.queue, Shift(), one)
    assert asked == [["scontrol", "requeue", "17"]] * tries


def test_a_job_too_short_for_any_run_does_not_come_back_for_ever(foreman, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = foreman()
    one.short_of_time = True
    with pytest.raises(WorkError, match=r"no run got going .* 1 are left; raise minutes"):
        _go_on_later(one.store, one.queue, Shift(), one)
