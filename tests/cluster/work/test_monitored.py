"""Samples of the machine in journals: while a run trains, through kills, and in MLflow once."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from mlflow import MlflowClient

from cluster import submit
from cluster.tracking import ship_sweep
from cluster.work.submission import count_ends
from cluster.work.worker import run_queue
from scaling.base import Store
from scaling.run import JOURNAL, LOG, end, points, read_journal
from scaling.run.monitor import CPU
from sweeps.resources import Resources
from sweeps.sweep import Sweep
from tests.cluster.work.test_programs import queue_of
from tests.scaling.processes import exit_status, in_child
from tests.scaling.programs.scripts import plain, steps_in

pytestmark = pytest.mark.usefixtures("store_ready")
EVERY = Resources(monitor_seconds=1, device="cpu")


def samples(run_dir):
    return [event for event in read_journal(run_dir) if event["event"] == "system"]


def until_sampled(*run_dirs):
    """A question whether to stop that takes its time until runs have samples, and says no."""

    def stop():
        if any((folder / JOURNAL).exists() and len(samples(folder)) < 2 for folder in run_dirs):
            time.sleep(0.1)
        return False

    return stop


def test_a_run_that_is_watched_has_the_same_bits(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(num_tokens=8192)
    run_dir = store.run_dir(sweep.entries[0].run_id)
    submit(sweep, on="inline")
    whole = [{k: v for k, v in p.items() if k != "seconds"} for p in points(read_journal(run_dir))]
    loss = end(read_journal(run_dir))["loss"]
    assert not samples(run_dir)
    other = Store(home / "watched")
    other.root.mkdir()
    (other.root / "data").symlink_to(store.root / "data")
    watched = other.run_dir(sweep.entries[0].run_id)
    run_queue(other, "tiny", queue_of(other, sweep), EVERY, until_sampled(watched))
    found = samples(watched)
    assert len(found) >= 2
    assert {CPU, "system/process_memory_megabytes"} <= set(found[0])
    events = read_journal(watched)
    assert end(events)["loss"] == loss
    assert [{k: v for k, v in p.items() if k != "seconds"} for p in points(events)] == whole


def test_a_program_killed_twice_keeps_every_sample_and_mlflow_has_each_once(home, store_ready):
    store = Store.at(home)
    spec = plain(store, steps=steps_in(4, home))
    sweep = Sweep.of("s", [spec])
    run_dir = store.run_dir(spec.run_id)

    def attempt():
        ends = {spec.run_id: count_ends(read_journal(run_dir))}
        run_queue(store, "s", queue_of(store, sweep, ends), EVERY, lambda: False)

    for count in (1, 2):
        worker, until = in_child(attempt), time.monotonic() + 60
        while len(samples(run_dir)) < count:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(worker, signal.SIGKILL)
        assert exit_status(worker) == -signal.SIGKILL
        before = samples(run_dir)
        assert not ship_sweep("s").problem
    attempt()
    there = samples(run_dir)
    assert there[: len(before)] == before
    assert end(read_journal(run_dir))["status"] == "done"
    for _ in range(2):
        assert not ship_sweep("s").problem
    client = MlflowClient(store_ready)
    experiment = client.get_experiment_by_name("s").experiment_id
    (run,) = client.search_runs([experiment])
    history = client.get_metric_history(run.info.run_id, CPU)
    assert sorted((p.timestamp, p.value) for p in history) == [
        (round(1000 * event["time"]), event[CPU]) for event in there
    ]
    steps = [p.step for p in sorted(history, key=lambda p: p.timestamp)]
    assert steps == sorted(set(steps))


def test_members_of_an_ensemble_have_the_samples_of_their_worker(make_sweep, home, monkeypatch):
    monkeypatch.setattr("scaling.training.ensemble.LOOK_SECONDS", 0.0)
    store, sweep = Store.at(home), make_sweep(num_tokens=8192, seed=[0, 1])
    resources = Resources(monitor_seconds=1, device="cpu", ensemble=2)
    folders = [store.run_dir(entry.run_id) for entry in sweep]
    run_queue(store, "tiny", queue_of(store, sweep), resources, until_sampled(*folders))
    one, two = map(samples, folders)
    both = min(len(one), len(two))  # one may have ended between the two lines of the last
    assert both >= 1 and max(len(one), len(two)) <= both + 1
    assert one[:both] == two[:both]


def test_a_machine_without_a_gpu_is_said_in_the_log(home, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    store = Store.at(home)
    spec = plain(store, steps=steps_in(1.5, home))
    sweep = Sweep.of("s", [spec])
    everything = Resources(monitor_seconds=1)
    run_queue(store, "s", queue_of(store, sweep), everything, lambda: False)
    run_dir = store.run_dir(spec.run_id)
    assert end(read_journal(run_dir))["status"] == "done"
    assert "measured" in (run_dir / LOG).read_text()


def test_what_cannot_be_measured_is_refused_before_anything_begins(make_sweep, monkeypatch):
    with pytest.raises(ValueError, match=r"monitor_seconds 0\.5 is not at least 1"):
        Resources(monitor_seconds=0.5)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ValueError, match=r"monitor_seconds 10: .* needs psutil: pip install"):
        submit(make_sweep(), on="inline", settings={"monitor_seconds": 10})
