"""The foreman: how many workers fit, whom it replaces, and when it gives up."""

from __future__ import annotations

import json
import os
import time

import pytest

from cluster.slurm.jobs import Job
from cluster.work import foreman as foremen
from cluster.work.causes import fault_of_job
from cluster.work.foreman import Foreman, WorkerProcess
from cluster.work.memory import require_device
from cluster.work.shift import Shift
from cluster.work.stalled import last_stall, stalled_here
from cluster.work.submission import Queue
from scaling.base import Store, write_atomic
from scaling.base.errors import WorkError
from scaling.run import read_journal
from scaling.run.host import node_name
from sweeps.estimate import needs
from sweeps.estimate.memory import Memory
from sweeps.resources import Resources


@pytest.fixture
def foreman(home):
    """``foreman(**resources)``: a foreman of a queue with one run."""

    def make(run_ids=("a",), **resources):
        store = Store.at(home)
        queue = Queue.new(store.sweep_dir("s"), [(run_id,) for run_id in run_ids], {})
        queue.write()
        chosen = Resources.from_dict(resources)
        return Foreman(store, "s", queue, chosen, Shift(), lambda: False)

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
    foreman, monkeypatch, resources, memory, devices, places
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    assert foreman(**resources)._places(memory) == places


def test_fewer_run_side_by_side_where_later_runs_are_larger(make_sweep, home, monkeypatch):
    """By prices as a preview keeps them: 100 MB of a worker, 28 bytes a parameter."""
    sweep = make_sweep(width=[8, 64])
    sweep.write(Store.at(home).sweep_dir("tiny") / "sweep.jsonl")
    small, large = sweep.entries
    monkeypatch.setattr(needs, "weighed_before", lambda *_: Memory(1e4, (28.0, 0, 0, 0, 0), ""))
    ratio = (1e4 + 28 * large.spec.num_params) / (1e4 + 28 * small.spec.num_params)
    assert ratio > 2
    queue = Queue.new(Store.at(home).sweep_dir("tiny"), [(e.run_id,) for e in sweep], {})
    chosen = Resources.from_dict({"cpus": 16, "memory": "5GB"})
    at = Foreman(Store.at(home), "tiny", queue, chosen, Shift(), lambda: False)
    assert at._places({"rss": 500}, large.run_id) == at._places({"rss": 500}) == 8
    assert at._places({"rss": 500}, small.run_id) == max(1, int(5120 / (1.25 * 500 * ratio)))
    assert at._places({"rss": 500, "gpu": 1.0, "gpu_total": 99.0}, small.run_id) == 8


def test_without_a_limit_of_its_own_slurms_memory_counts(foreman, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "2000")
    assert foreman(cpus=8)._places({"rss": 400}) == 4
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "500")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    assert foreman(cpus=8)._places({"rss": 400}) == 6


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
    foreman, monkeypatch, job, host, age, going
):
    """Else a node that kills each worker goes through the queue while others work on it."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one, now = foreman(), time.time()
    state = {"job": job, "host": host or node_name(), "time": now - age}
    write_atomic(one.store.run_dir("a") / "state.json", json.dumps(state))
    assert one.got_going(now) == going


def test_workers_that_die_at_once_end_the_job(foreman, monkeypatch):
    one = foreman()
    monkeypatch.setattr(foremen, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(foremen, "sys", type("Broken", (), {"executable": "false"}))
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
        return WorkerProcess(Fake(script[place].pop(0)), time.time(), memory)

    monkeypatch.setattr(foremen, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(one, "_start", start)
    return began


def test_who_the_kernel_kills_for_memory_leaves_one_place_less(foreman, monkeypatch):
    """Three side by side; the third is killed for want of memory, then there are two."""
    one, kills = foreman(cpus=3), iter([0, 1, 1, *[1] * 20])
    monkeypatch.setattr(foremen, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [None, 0], 1: [0], 2: [-9, 0]})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert began == [0, 1, 2]


def test_one_place_less_it_is_whoever_was_killed(foreman, monkeypatch):
    one, kills = foreman(cpus=3), iter([0, 1, 1, *[1] * 20])
    monkeypatch.setattr(foremen, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [-9, None], 1: [None], 2: [None]})
    alive = WorkerProcess(Fake(None), time.time(), {"rss": 100.0})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    monkeypatch.setattr(one, "got_going", lambda since: True)
    one.workers[0], one.started = alive, 1
    monkeypatch.setattr(one, "_end_all", lambda: None)

    def start(place):
        began.append(place)
        if len(began) == 2:
            alive.process.status = -9
        return WorkerProcess(Fake(None), time.time())

    monkeypatch.setattr(one, "_start", start)
    one.work()
    assert began == [1, 2]
    assert sorted(one.workers) == [1, 2]


def starving(one, monkeypatch, script):
    """All that die are killed by the kernel for want of memory."""
    kills = iter(range(1000))
    monkeypatch.setattr(foremen, "oom_kills", lambda: next(kills))
    return scripted(one, monkeypatch, script)


def test_who_is_killed_for_memory_never_counts_against_the_node(foreman, monkeypatch):
    """Runs that take their workers with them, before any state is written, fail one by one."""
    one, left = foreman(("a", "b")), iter([2, 2, 2, 1, 1, 1])
    monkeypatch.setattr(Foreman, "open_runs", lambda self: next(left))
    began = starving(one, monkeypatch, {0: [-9] * 6 + [0]})
    one.work()
    assert len(began) == 7


def test_the_last_one_killed_for_memory_is_followed_though_its_neighbour_found_nothing(
    foreman, monkeypatch
):
    """One place less must not be the place of the run that the dead worker had."""
    one, kills = foreman(cpus=2), iter([0, 1, *[1] * 20])
    monkeypatch.setattr(foremen, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [None, 0], 1: [0]})
    looks = iter(range(9))

    def stop():
        look = next(looks, None)
        if look == 4:  # by now the neighbour has ended
            assert sorted(one.workers) == [0]
            one.workers[0].process.status = -9
        return look is None

    one.stop = stop
    one.work()
    assert began == [0, 1, 0]


def test_two_that_are_killed_for_memory_at_a_time_are_both_seen(foreman, monkeypatch):
    one, kills = foreman(cpus=3), iter([0, *[2] * 20])
    monkeypatch.setattr(foremen, "oom_kills", lambda: next(kills))
    began = scripted(one, monkeypatch, {0: [None], 1: [-9], 2: [-9]})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert began == [0, 1, 2]


def test_a_worker_that_never_comes_to_a_run_for_want_of_memory_ends_the_job(foreman, monkeypatch):
    """With an exit code that says so: no lease counts these deaths, so no run would ever fail."""
    one = foreman()
    began = starving(one, monkeypatch, {0: [-9] * 9})
    with pytest.raises(OSError, match="Cannot allocate memory") as caught:
        one.work()
    assert len(began) == 4
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    foremen.end_if_short(caught.value)
    assert codes == [foremen.STARVED]
    job = Job("17", "FAILED", exit_code=f"{foremen.STARVED}:0", nodes="n1")
    assert "out of memory" in str(job)
    assert fault_of_job(job, one.store.root / "no log").cause == "oom"


def test_any_other_death_leaves_as_many_places(foreman, monkeypatch):
    one = foreman(cpus=2)
    monkeypatch.setattr(foremen, "oom_kills", lambda: 7)
    began = scripted(one, monkeypatch, {0: [None] + [0] * 9, 1: [-9, 0]})
    looks = iter(range(6))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert began == [0, 1, 1]


@pytest.mark.parametrize(("told", "places"), [(True, 1), (False, 2)])
def test_a_job_that_comes_back_after_slurm_killed_it_for_memory_does_one_run_at_a_time(
    foreman, monkeypatch, told, places
):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = foreman(cpus=2)
    log = one.store.sweep_dir("s") / "logs" / "17_0_log.err"
    words = "slurmstepd-n1: error: StepId=17.0 exceeded memory limit (9 > 8), being killed"
    write_atomic(log, f"{words}\n" if told else "killed\n")
    began = scripted(one, monkeypatch, {0: [None], 1: [None]})
    looks = iter(range(4))
    one.stop = lambda: next(looks, None) is None
    one.work()
    assert sorted(set(began)) == list(range(places))


def test_a_worker_without_space_ends_the_job_with_a_code_that_says_so(foreman, monkeypatch):
    one = foreman(cpus=2)
    scripted(one, monkeypatch, {0: [foremen.FULL]})
    with pytest.raises(OSError, match="No space left on device") as caught:
        one.work()
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    foremen.end_if_short(caught.value)
    foremen.end_if_short(OSError(5, "Input/output error"))
    assert codes == [foremen.FULL]
    job = Job("17", "FAILED", exit_code=f"{foremen.FULL}:0", nodes="n1")
    assert str(job) == "job 17 failed: No space left, or a quota is full on n1"
    assert fault_of_job(job, one.store.root / "no log").cause == "disk"


def test_a_node_without_the_gpu_that_was_asked_for_fails_no_run(foreman, monkeypatch):
    """Its job ends, its runs are left to others; the CPU never trains in place of it, unasked."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OSError, match="torch sees no GPU here, and device is 'cuda'") as caught:
        require_device("cuda")
    require_device("cpu")
    one = foreman(cpus=2)
    scripted(one, monkeypatch, {0: [foremen.NO_DEVICE]})
    with pytest.raises(OSError, match="No such device"):
        one.work()
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    foremen.end_if_short(caught.value)
    assert codes == [foremen.NO_DEVICE]
    job = Job("17", "FAILED", exit_code=f"{foremen.NO_DEVICE}:0", nodes="n1")
    assert fault_of_job(job, one.store.root / "no log").cause == "node"


@pytest.mark.parametrize(
    ("minutes", "pauses", "silence", "hangs"),
    [
        (30, [1.0], 1700, False),
        (30, [1.0], 1900, True),
        (0.1, [1.0], 15, False),  # twenty times its own pause
        (0.1, [1.0], 25, True),
        (0.1, [], 590, False),
        (0.1, [], 610, True),  # not even a first step
    ],
)
def test_a_worker_is_given_a_stated_time_and_a_multiple_of_its_own_pace(
    monkeypatch, minutes, pauses, silence, hangs
):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    worker = WorkerProcess(Fake(None), 0.0, heard=0.0)
    worker.hear({"run": "a"})
    now[0] += 60  # it loads what it needs
    if pauses:
        worker.hear({})
    for pause in pauses:
        now[0] += pause
        worker.hear({})
    now[0] += silence - (0 if pauses else 60)
    assert (worker.silence(minutes) > 0) == hangs
    assert worker.silence(minutes) in (0.0, silence)


@pytest.mark.parametrize("taken", [False, True])
def test_a_worker_without_a_step_is_killed_and_its_run_left_to_another_attempt(
    foreman, monkeypatch, taken
):
    """Not said of a run that somebody else has by now."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    one = foreman(silent_minutes=0.1)
    run_dir = one.store.run_dir("a")
    write_atomic(run_dir / "metrics.jsonl", '{"event": "start", "epoch": 3}\n')
    state = {"host": "n9" if taken else node_name(), "job": "17", "time": time.time() + 1}
    write_atomic(run_dir / "state.json", json.dumps(state))
    process = Fake(None)
    process.kill = lambda: setattr(process, "status", -9)
    worker = WorkerProcess(process, time.time(), run_id="a", since=time.time())
    worker.is_fresh = False
    worker.heard -= 7
    one.workers[0] = worker
    assert one._end_hanging()
    assert one.left_hanging
    assert process.status == -9
    events = read_journal(run_dir)
    assert (last_stall(events) is None) == taken
    if not taken:
        assert last_stall(events)["reason"].startswith("no step for 7 s (longest pause")
        assert stalled_here(events)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        assert not stalled_here(events)
        write_atomic(run_dir / "metrics.jsonl", '{"event": "start"}\n')
        assert last_stall(read_journal(run_dir)) is None


def test_the_foreman_ends_its_workers_when_it_is_told_to(foreman, monkeypatch, tmp_path):
    """A worker that heeds no signal is killed in the end."""
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(foremen, "sys", type("Other", (), {"executable": str(stubborn)}))
    monkeypatch.setattr(foremen, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(foremen, "KILL_SECONDS", 0.5)
    one = foreman(margin_seconds=0.5)
    pids = []
    one.stop = lambda: bool(pids.extend(w.process.pid for w in one.workers.values()) or pids)
    one.work()
    assert not one.workers
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
