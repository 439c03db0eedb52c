"""A worker: which runs it takes, when it stops, and whom it gives up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cluster import submit, sweep_status
from cluster.work.lease import claim
from cluster.work.shift import Shift, fits
from cluster.work.submission import Queue
from cluster.work.worker import run_queue, stop_on_signals
from scaling.base import Store, read_json
from sweeps.resources import Resources
from tests.cluster.launch.test_submit import results

pytestmark = pytest.mark.usefixtures("store_ready")


def queue_of(store, sweep):
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    chosen = submit(sweep, dry_run=True).submitted
    return Queue.new(store.sweep_dir("tiny"), [(run_id,) for run_id in chosen], {})


def test_a_stopped_run_goes_on_where_it_was(make_sweep, home):
    """Two wishes to stop in mid-run, then the rest: the same bits as without."""
    store, sweep = Store.at(home), make_sweep(num_tokens=8192)
    run_id = sweep.entries[0].run_id
    submission = submit(sweep, dry_run=True)
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [submission.submitted], {})
    for _ in range(2):
        calls = iter(range(10**6))
        run_queue(store, "tiny", queue, Resources(), lambda calls=calls: next(calls) > 20)
        assert sweep_status("tiny").counts == {"stopped": 1}
    assert 0 < read_json(store.run_dir(run_id) / "state.json")["step"] < 8192
    submit(sweep, on="inline")
    resumed = results(store, sweep)
    submit(sweep, on="inline", rerun="all")
    assert results(store, sweep) == resumed


def test_a_signal_is_a_wish_and_the_second_interrupt_an_order():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("progress", "failed"), [(0, 1), (12345, 0)])
def test_a_run_that_keeps_killing_its_workers_is_given_up(make_sweep, home, progress, failed):
    """Three processes die holding the run; the fourth worker fails it and goes on.

    Not if they died at another checkpoint than the run's present one.
    """
    store, sweep = Store.at(home), make_sweep(seed=[0, 1])
    chosen = submit(sweep, dry_run=True).submitted
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [(r,) for r in chosen], {})
    spec = {e.run_id: e.spec for e in sweep}[chosen[0]]
    die = """
import os, sys
from pathlib import Path
from cluster.work.lease import claim
assert claim(Path(sys.argv[1]), sys.argv[2])
os._exit(9)
"""
    purpose = f"{queue.path.stem} {chosen[0]} {progress}"
    folder = store.trunk_dir(spec.trunk_id)
    for _ in range(3):
        subprocess.run([sys.executable, "-c", die, str(folder), purpose], check=False)
    assert run_queue(store, "tiny", queue, Resources(), lambda: False).done == 2
    status = sweep_status("tiny")
    assert status.counts == ({"done": 1, "failed": 1} if failed else {"done": 2})
    assert all("3 workers died" in run.reason for run in status.in_state("failed"))


def test_a_worker_whose_time_is_over_begins_nothing(make_sweep, home):
    store = Store.at(home)
    queue = queue_of(store, make_sweep())
    turn = run_queue(
        store, "tiny", queue, Resources(), lambda: False, shift=Shift(until=time.time() - 1)
    )
    assert (turn.done, turn.short_of_time) == (0, True)
    assert not (home / "runs").exists()


def test_a_worker_anywhere_heeds_a_queue_that_was_stopped(make_sweep, home):
    store = Store.at(home)
    queue = queue_of(store, make_sweep())
    queue.stop()
    assert run_queue(store, "tiny", queue, Resources(), lambda: False).done == 0
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("seconds", "left", "begun"),
    [
        (0, 10, True),  # nothing is known yet
        (50, 60, True),
        (70, 60, False),  # a fresh worker can do it
        (90, 60, False),
        (150, 60, True),  # no worker can: it needs several, and half of this one is left
        (150, 40, False),
    ],
)
def test_a_worker_begins_what_ends_in_time_or_what_needs_more_than_one(seconds, left, begun):
    assert fits(seconds, Shift(until=time.time() + left, full_seconds=100)) == begun


def test_near_its_end_a_worker_takes_the_short_runs_and_leaves_the_long(make_sweep, home):
    """Its first run tells the pace: by that the other long one takes an hour, the short is free."""
    store, sweep = Store.at(home), make_sweep(num_tokens=[8192, 16384], schedule="cosine")
    queue = queue_of(store, sweep)
    rows = [json.loads(line) for line in sweep.to_jsonl().splitlines()]
    long, *_ = sorted(rows, key=lambda row: -row["num_tokens"])
    extra = make_sweep(num_tokens=4096, schedule="cosine").entries[0]
    rows.append({**json.loads(json.dumps(rows[0])), "run_id": extra.run_id})
    rows[-1]["spec"], rows[-1]["num_tokens"] = extra.spec.to_dict(), 4096
    short = next(row for row in rows if row["num_tokens"] == 8192)
    short["flops"] = 1e30  # believed to be endless
    rows[-1]["flops"] = 0.0
    path = store.sweep_dir("tiny") / "sweep.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    order = [(row["run_id"],) for row in (long, short, rows[-1])]
    queue = Queue.new(store.sweep_dir("tiny"), order, {})
    shift = Shift(until=time.time() + 3600, full_seconds=1e40)
    turn = run_queue(store, "tiny", queue, Resources(), lambda: False, shift=shift)
    assert (turn.done, turn.short_of_time) == (2, True)
    assert not store.run_dir(short["run_id"]).exists()


def test_a_worker_waits_only_so_long_for_what_another_holds(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(schedule="cosine")
    queue = queue_of(store, sweep)
    with claim(store.run_dir(sweep.entries[0].run_id)):
        turn = run_queue(  # which comes to an end
            store, "tiny", queue, Resources(), lambda: False, shift=Shift(linger_seconds=0.5)
        )
    assert (turn.done, turn.short_of_time) == (0, False)
