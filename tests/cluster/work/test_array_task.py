"""A SLURM job: how long it works, and when it comes back."""

from __future__ import annotations

import time

import pytest

from cluster.slurm import GO_ON
from cluster.work.array_task import _go_on_later, _shift
from cluster.work.foreman import Foreman
from cluster.work.shift import Shift
from cluster.work.submission import Queue
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


@pytest.mark.parametrize("off", [-600, 600])
def test_how_long_a_job_works_does_not_depend_on_its_nodes_clock(monkeypatch, off):
    """The controller's clock is another; the batch script says when it began by the node's."""
    now = time.time()
    monkeypatch.setenv("SLURM_JOB_START_TIME", str(int(now + off)))
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(now + off) + 3600))
    monkeypatch.setenv("SCALING_JOB_BEGAN", str(int(now)))
    assert _shift(Resources(minutes=60), None).until == pytest.approx(now + 3480, abs=2)
    monkeypatch.delenv("SLURM_JOB_START_TIME")
    assert _shift(Resources(minutes=60), None).until == pytest.approx(now + 3480, abs=2)


def test_a_job_with_runs_left_asks_its_script_for_its_return(foreman):
    one = foreman(("a", "b"))
    run_dir = one.store.run_dir("a")
    write_atomic(
        run_dir / "metrics.jsonl", '{"event": "start"}\n{"event": "end", "status": "done"}'
    )
    _go_on_later(Shift(task=0), one)  # its only run is done
    with pytest.raises(SystemExit) as asked:
        _go_on_later(Shift(), one)
    assert asked.value.code == GO_ON


def test_a_job_too_short_for_any_run_does_not_come_back_for_ever(foreman):
    one = foreman()
    one.short_of_time = True
    with pytest.raises(WorkError, match=r"no run got going .* 1 are left; raise minutes"):
        _go_on_later(Shift(), one)
