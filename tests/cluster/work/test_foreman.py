"""The foreman: how many workers fit, how long a job works, when it comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from cluster.slurm.jobs import Job
from cluster.work import foreman as crews
from cluster.work.causes import cause_of
from cluster.work.foreman import Crew, Worker, _go_on_later, _shift
from cluster.work.submission import Queue
from cluster.work.worker import Shift
from scaling.base import Store, write_atomic
from scaling.base.errors import WorkError
from scaling.run.host import node_name
from sweeps.resources import Resources


@pytest.fixture
def crew(home):
    """``crew(**resources)``: a foreman of a queue with one run."""

    def make(run_ids=("a",), **resources):
        store = Store.at(home)
        queue = Queue.new(store.sweep_dir("s"), [(run_id,) for run_id in run_ids], {})
        queue.write()
        chosen = Resources.from_dict(resources)
        return Crew(store, "s", queue, chosen, Shift(), lambda: False)

    return make


@pytest.mark.parametrize(
    ("resources", "memory", "devices", "places"),
    [
        ({"cpus": 8}, {"rss": 500}, "", 8),
        ({"cpus": 8, "threads": 4}, {"rss": 500}, "", 2),
        ({"cpus": 8, "memory": "4GB"}, {"rss": 500}, "", 6),  # 4096 / (1.25 x 500)
        ({"cpus": 8, "memory": "100MB"}, {"rss": 500}, "", 1),  # never none
        ({"cpus": 8, "side_by_side": 3}, {"rss": 5}, "", 3),
        ({"cpus": 16}, {"rss": 500, "gpu": 9000, "gpu_total": 80000}, "0", 7),
        ({"cpus": 16}, {"rss": 500, "gpu": 9000, "gpu_total": 80000}, "0,1", 14),
        ({"cpus": 16}, {"rss": 500, "gpu": 79000, "gpu_total": 80000}, "0", 1),
    ],
)
def test_as_many_run_side_by_side_as_cpus_and_memory_allow(
    crew, monkeypatch, resources, memory, devices, places
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    assert crew(**resources)._places(memory) == places


def test_without_a_limit_of_its_own_slurms_memory_counts(crew, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "2000")
    assert crew(cpus=8)._places({"rss": 400}) == 4
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "500")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    assert crew(cpus=8)._places({"rss": 400}) == 6


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


def test_a_job_with_runs_left_goes_back_into_the_queue(crew, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = crew(("a", "b"))
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
    [("Unable to contact slurm controller (connect failure)", 3), ("Job is pending", 1)],
)
def test_a_job_waits_for_a_controller_that_is_away(crew, monkeypatch, problem, tries):
    asked = []

    def run(command, **options):
        asked.append(command)
        if len(asked) == 2:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, int(len(asked) < 3), "", problem)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = crew()
    _go_on_later(one.store, one.queue, Shift(), one)
    assert asked == [["scontrol", "requeue", "17"]] * tries


@pytest.mark.parametrize(
    ("job", "host", "age", "going"),
    [
        ("17", None, -1, True),
        ("18", None, -1, False),
        ("17", "n2", -1, False),
        ("17", None, 9, False),
    ],
)
def test_what_other_jobs_get_done_is_no_progress_of_this_one(
    crew, monkeypatch, job, host, age, going
):
    """Else a node that kills each worker goes through the queue while others work on it."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one, now = crew(), time.time()
    state = {"job": job, "host": host or node_name(), "time": now - age}
    write_atomic(one.store.run_dir("a") / "state.json", json.dumps(state))
    assert one.got_going(now) == going


def test_a_job_too_short_for_any_run_does_not_come_back_for_ever(crew, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = crew()
    one.short_of_time = True
    with pytest.raises(WorkError, match=r"no run got going .* 1 are left; raise minutes"):
        _go_on_later(one.store, one.queue, Shift(), one)


def test_workers_that_die_at_once_end_the_job(crew, monkeypatch):
    one = crew()
    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(crews, "sys", type("Broken", (), {"executable": "false"}))
    with pytest.raises(WorkError, match="2 workers died without getting a run going"):
        one.work()
    assert one.started == 2


class Fake:
    """A worker's process that ends as it is told."""

    def __init__(self, status):
        self.status, self.stdin = status, None

    def poll(self):
        return self.status

    def terminate(self):
        pass

    def wait(self, timeout=None):
        return 0


def scripted(one, monkeypatch, script):
    """Each place's workers end one after another with the statuses of ``script``."""
    began = []

    def start(place):
        began.append(place)
        memory = {"rss": 100.0} if place == 0 else {}
        return Worker(Fake(script[place].pop(0)), time.time(), memory)

    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(one, "_start", start)
    return began


def test_who_the_kernel_kills_for_memory_leaves_one_place_less(crew, monkeypatch):
    """Three side by side; the third is killed for want of memory, then there are two."""
    one, kills = crew(cpus=3), iter([0, 1, 1, *[1] * 20])
    monkeypatch.setattr(crews, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [None, 0], 1: [0], 2: [-9, 0]})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert began == [0, 1, 2]


def test_one_place_less_it_is_whoever_was_killed(crew, monkeypatch):
    one, kills = crew(cpus=3), iter([0, 1, 1, *[1] * 20])
    monkeypatch.setattr(crews, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [-9, None], 1: [None], 2: [None]})
    alive = Worker(Fake(None), time.time(), {"rss": 100.0})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    monkeypatch.setattr(one, "got_going", lambda since: True)
    one.workers[0], one.started = alive, 1
    monkeypatch.setattr(one, "_end_all", lambda: None)

    def start(place):
        began.append(place)
        if len(began) == 2:
            alive.process.status = -9
        return Worker(Fake(None), time.time())

    monkeypatch.setattr(one, "_start", start)
    one.work()
    assert began == [1, 2]
    assert sorted(one.workers) == [1, 2]


def test_any_other_death_leaves_as_many_places(crew, monkeypatch):
    one = crew(cpus=2)
    monkeypatch.setattr(crews, "oom_kills", lambda: 7)
    began = scripted(one, monkeypatch, {0: [None] + [0] * 9, 1: [-9, 0]})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert began == [0, 1, 1]


@pytest.mark.parametrize(("told", "places"), [(True, 1), (False, 2)])
def test_a_job_that_comes_back_after_slurm_killed_it_for_memory_does_one_run_at_a_time(
    crew, monkeypatch, told, places
):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = crew(cpus=2)
    log = one.store.sweep_dir("s") / "logs" / "17_0_log.err"
    words = "slurmstepd-n1: error: StepId=17.0 exceeded memory limit (9 > 8), being killed"
    write_atomic(log, f"{words}\n" if told else "killed\n")
    began = scripted(one, monkeypatch, {0: [None], 1: [None]})
    looks = iter(range(4))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert sorted(set(began)) == list(range(places))


def test_a_worker_without_space_ends_the_job_with_a_code_that_says_so(crew, monkeypatch):
    one = crew(cpus=2)
    scripted(one, monkeypatch, {0: [crews.FULL]})
    with pytest.raises(OSError, match="No space left on device") as caught:
        one.work()
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    crews._end_if_full(caught.value)
    crews._end_if_full(OSError(5, "Input/output error"))
    assert codes == [crews.FULL]
    reason = str(Job("17", "FAILED", exit_code=f"{crews.FULL}:0", nodes="n1"))
    assert cause_of("failed", reason) == "disk"


def test_the_foreman_ends_its_workers_when_it_is_told_to(crew, monkeypatch, tmp_path):
    """A worker that heeds no signal is killed in the end."""
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(crews, "sys", type("Other", (), {"executable": str(stubborn)}))
    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(crews, "KILL_SECONDS", 0.5)
    one = crew(margin_seconds=0.5)
    pids = []
    one.stop = lambda: bool(pids.extend(w.process.pid for w in one.workers.values()) or pids)
    one.work()
    assert not one.workers
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
