"""Runs of several processes of which one hangs."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from cluster.slurm import GO_ON
from cluster.work import Queue, array_task, progress
from cluster.work.array_task import work_in_slurm
from cluster.work.progress import Progress, Watch
from cluster.work.stalled import last_stall, stalled_here
from scaling.base import Store
from scaling.run import read_journal
from scaling.training.team import Team
from tests.scaling.processes import exit_status, in_child

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def assert_the_first_of_two_leaves(home, queue):
    """Of two real processes of a job: the first ends for another attempt, the second is killed."""

    def work():
        work_in_slurm(str(home), "tiny", str(queue.path), None)

    job = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
    first, second = (
        in_child(work, {**job, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}) for rank in "01"
    )
    try:
        assert exit_status(first) == GO_ON
    finally:
        os.kill(second, signal.SIGKILL)
        exit_status(second)


def test_a_collective_that_hangs_ends_the_job_and_is_said(make_sweep, home, monkeypatch):
    """Two real processes; the second is stopped in the third step of the run they train."""
    store, (entry,) = Store.at(home), make_sweep(seed=[0])
    make_sweep(seed=[0]).write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [(entry.run_id,)], {})
    replace(queue, resources={"nodes": 2, "silent_minutes": 0.02}).write()
    agreed = []

    def agree(team, *wishes):
        agreed.append(wishes)
        if team.place.rank == 1 and len(agreed) == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        return together(team, *wishes)

    together = Team.agree
    monkeypatch.setattr(Team, "agree", agree)

    assert_the_first_of_two_leaves(home, queue)
    events = read_journal(store.run_dir(entry.run_id))
    assert [e["processes"] for e in events if e["event"] == "start"] == [2]
    assert last_stall(events)["reason"].startswith("no step for ")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert stalled_here(events)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert not stalled_here(events)


def test_a_first_process_that_hangs_between_two_runs_ends_the_job(make_sweep, home, monkeypatch):
    """Two real processes; the first never comes to begin a run, the second waits for it."""
    store = Store.at(home)
    make_sweep().write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [("a",)], {})
    replace(queue, resources={"nodes": 2, "silent_minutes": 0.02}).write()
    monkeypatch.setattr(progress, "BEGIN_SECONDS", 3.0)
    monkeypatch.setattr(array_task, "run_queue", lambda *_, **__: time.sleep(600))

    assert_the_first_of_two_leaves(home, queue)


def test_who_asks_whether_to_stop_between_runs_is_not_taken_to_hang(monkeypatch):
    watch = Watch(0.0, Progress(heard=-1e6))
    monkeypatch.setattr(os, "_exit", pytest.fail)

    def waits():
        yield False
        yield True

    looks = waits()
    assert watch.asking(lambda: True)()
    watch._look(type("Over", (), {"wait": lambda _, seconds: next(looks)})())
