"""Status where SLURM has a say: its jobs, its accounting, its silence."""

from __future__ import annotations

import json
import time

import pytest

from cluster.slurm.jobs import Answer, Job
from cluster.status.run import STALL_SECONDS
from cluster.status.sweep import STATES, sweep_status
from cluster.work import ProcessId
from scaling.base import Store, write_atomic
from scaling.run.journal import JOURNAL
from tests.cluster.status.states import START, running


def on_node(job, **changes):
    """The state of a run that a job on another machine has, by default in its full vigour."""
    return running(host="node7", job=job, **changes)


def answer(*jobs, **options):
    return Answer({job.job_id: job for job in jobs}, **options)


def test_what_slurm_says_of_its_job_joins_what_a_run_says(place):
    """Each run's job is in another state, and one worker is left that would take runs over."""
    jobs = {
        "works": Job("12_0", "RUNNING", nodes="n1"),
        "node gone": Job("12_1", "NODE_FAIL", nodes="n1"),
        "made room": Job("12_2", "PENDING", "Resources", before="PREEMPTED"),
        "was signalled": Job("12_3", "PENDING", "BeginTime", before="REQUEUED"),
        "out of time": Job("12_4", "PENDING", "BeginTime", before="TIMEOUT"),
        "odd": Job("12_5", "FROZEN"),
        "memory": Job("12_6", "OUT_OF_MEMORY", nodes="n2"),
    }
    for run_id, job in jobs.items():
        state = "stopped" if job.before in ("REQUEUED", "TIMEOUT") else "running"
        place(run_id, [START], **on_node(job.job_id, state=state))
    place.sweep(*jobs, "not begun")
    place.queue([*((r,) for r in jobs), ("not begun",)], slurm_jobs=["12"])
    status = sweep_status("s", answer=answer(*jobs.values()))
    found = {run.run_id: (run.state, run.reason) for run in status.runs}
    assert found == {
        "works": ("running", ""),
        "node gone": ("queued", "job 12_1 lost its node on n1; another takes it over"),
        "made room": ("pre-empted", "goes on when there is room"),
        "was signalled": ("pre-empted", "goes on when there is room"),
        "out of time": ("queued", "job 12_4 was requeued (TIMEOUT)"),
        "odd": ("unknown", "unknown: FROZEN (job 12_5)"),
        "memory": ("queued", "job 12_6 ran out of memory on n2; another takes it over"),
        "not begun": ("queued", ""),
    }
    assert status.is_live
    assert status.is_on_slurm
    assert set(status.counts) <= set(STATES)


@pytest.mark.parametrize(
    ("word", "cut_off", "stopped", "fresh", "cause"),
    [
        ("OUT_OF_MEMORY", "failed", "stopped", "failed", "oom"),
        ("TIMEOUT", "failed", "stopped", "failed", "time"),
        ("NODE_FAIL", "failed", "stopped", "failed", "node"),
        ("FAILED", "failed", "stopped", "failed", "other"),
        ("PREEMPTED", "pre-empted", "pre-empted", "pre-empted", None),
        ("CANCELLED", "stopped", "stopped", "planned", None),
        ("COMPLETED", "stalled", "stopped", "planned", "killed"),
    ],
)
def test_jobs_that_are_all_over_decide_what_became_of_a_run(
    place, word, cut_off, stopped, fresh, cause
):
    place("cut off", [START], **on_node("12_0"))
    place("stopped", [START], **on_node("12_0", state="stopped"))
    place.sweep("cut off", "stopped", "not begun")
    place.queue([("cut off",), ("stopped",), ("not begun",)], slurm_jobs=["12"])
    status = sweep_status("s", answer=answer(Job("12_0", word, nodes="n1", exit_code="1:0")))
    found = {run.run_id: run.state for run in status.runs}
    assert found == {"cut off": cut_off, "stopped": stopped, "not begun": fresh}
    assert not status.is_live
    assert [failure.cause for failure in status.failures] == ([cause] if cause else [])


@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        ({}, "scaling retry s --cause oom --set memory=1000MB"),  # twice the site's default
        ({"memory": "3GB"}, "scaling retry s --cause oom --set memory=6GB"),
    ],
)
def test_a_retry_for_want_of_memory_asks_for_twice_what_the_job_had(place, resources, remedy):
    place("a", [START], **on_node("12_0"))
    place.sweep("a")
    place.queue([("a",)], slurm_jobs=["12"], resources=resources)
    job = Job("12_0", "OUT_OF_MEMORY", nodes="n1", memory_mb=500.0)
    (failure,) = sweep_status("s", answer=answer(job)).failures
    assert failure.remedy == remedy


def test_why_slurm_does_not_begin_is_said(place):
    place.sweep("a")
    place.queue([("a",)], slurm_jobs=["12"])
    waiting = answer(Job("12_0", "PENDING", "QOSMaxJobsPerUserLimit"))
    assert sweep_status("s", answer=waiting).runs[0].reason == "SLURM says QOSMaxJobsPerUserLimit"


def test_a_job_that_slurm_holds_after_a_failed_launch_stalls_its_runs_when_no_other_is_left(place):
    place("b", [START], **on_node("12_0"))
    place.sweep("a", "b")
    place.queue([("a",), ("b",)], slurm_jobs=["12"])
    held = Job("12_0", "PENDING", "launch failed requeued held", before="NODE_FAIL")
    alone = sweep_status("s", answer=answer(held))
    assert alone.counts == {"stalled": 2}
    assert [failure.cause for failure in alone.failures] == ["node"]
    helped = sweep_status("s", answer=answer(held, Job("12_1", "RUNNING")))
    assert helped.counts == {"queued": 2}
    theirs = Job("12_0", "PENDING", "JobHeldUser")
    assert sweep_status("s", answer=answer(theirs)).counts == {"queued": 2}


def test_what_becomes_of_a_run_with_a_job_of_its_own_is_that_jobs_matter(place):
    """Another run's job neither takes it over, nor says why it waits or what became of it."""
    jobs = {
        "works": Job("12_0", "RUNNING", nodes="n1"),
        "cut off": Job("12_1", "NODE_FAIL", nodes="n1"),
        "never began": Job("12_2", "FAILED", exit_code="1:0"),
        "held": Job("12_3", "PENDING", "launch failed requeued held"),
        "waits": Job("12_4", "PENDING", "Priority"),
        "again": Job("13", "PENDING", "Resources"),
    }
    place("works", [START], **on_node("12_0"))
    place("cut off", [START], **on_node("12_1"))
    place("again", [START], **on_node("12_5"))
    place.sweep(*jobs)
    own = {run_id: job.job_id for run_id, job in jobs.items()}
    first = {**own, "again": "12_5"}
    place.queue([(run_id,) for run_id in jobs], slurm_jobs=["12"], own_jobs=first)
    place.queue([("again",)], slurm_jobs=["13"], own_jobs={"again": "13"})
    gone = Job("12_5", "TIMEOUT", nodes="n2")
    status = sweep_status("s", answer=answer(*jobs.values(), gone))
    assert {run.run_id: (run.state, run.reason) for run in status.runs} == {
        "works": ("running", ""),
        "cut off": ("failed", "job 12_1 lost its node on n1"),
        "never began": ("failed", "job 12_2 failed with exit code 1:0"),
        "held": ("stalled", "job 12_3 could not be launched and SLURM holds it; a retry goes on"),
        "waits": ("queued", "SLURM says Priority"),
        "again": ("queued", "job 12_5 reached its time limit on n2; another takes it over"),
    }
    assert status.is_live


def test_runs_whose_own_jobs_are_not_known_are_not_judged_by_others(place):
    """One was cancelled before it began, one was never sent, one waits for news from SLURM."""
    place.sweep("failed", "cancelled", "unsent")
    own = {"failed": "20_0", "cancelled": "20_1"}
    place.queue([("failed",), ("cancelled",), ("unsent",)], slurm_jobs=["20"], own_jobs=own)
    failed = Job("20_0", "OUT_OF_MEMORY", nodes="n1")
    said = answer(failed, Job("20_1", "CANCELLED"))
    expected = {"failed": "failed", "cancelled": "planned", "unsent": "planned"}
    assert place.states(said) == expected
    assert place.states(answer(failed)) == expected
    running = Job("20_0", "RUNNING")
    assert place.states(answer(running)) == {**expected, "failed": "queued"}


def test_a_run_whose_worker_was_killed_as_it_hung_is_queued_or_stalled_and_says_why(place):
    stall = {"event": "stalled", "reason": "no step for 1900 s", "host": "n1", "attempt_of": "13.0"}
    place("hung", [START, stall], **on_node("13_0", time=time.time() - 900))
    place.sweep("hung")
    place.queue([("hung",)], slurm_jobs=["13"])
    (run,) = sweep_status("s", answer=answer(Job("13_0", "RUNNING", nodes="n1"))).runs
    assert (run.state, run.reason) == ("queued", "no step for 1900 s; another takes it over")
    (run,) = sweep_status("s", answer=answer(Job("13_0", "COMPLETED", nodes="n1"))).runs
    assert (run.state, run.cause) == ("stalled", "stalled")
    assert run.reason == "no step for 1900 s on n1; submit again to go on"


def test_a_run_that_makes_no_step_while_its_process_lives_is_not_just_queued(place, home):
    silent = {"time": time.time() - STALL_SECONDS - 900}
    place("hangs", [START], **on_node("13_0", **silent))
    place.sweep("hangs")
    place.queue([("hangs",)], slurm_jobs=["13"])
    said = answer(Job("13_0", "RUNNING", nodes="n1"))
    (run,) = sweep_status("s", answer=said).runs
    assert run.state == "queued"
    elsewhere = {**ProcessId.of().to_dict(), "host": "node7", "purpose": ""}
    lease = Store.at(home).run_dir("hangs") / "lease-000001.json"
    lease.write_text(json.dumps(elsewhere))
    (run,) = sweep_status("s", answer=said).runs
    assert (run.state, run.cause) == ("stalled", "stalled")
    assert run.reason.endswith("though its process lives (job 13_0 RUNNING on n1)")
    lease.write_text(json.dumps({**elsewhere, "pid": -1}))  # another's, that has only begun
    assert place.states(said) == {"hangs": "queued"}


def test_a_run_that_hangs_in_its_own_job_is_stalled(place):
    silent = {"time": time.time() - STALL_SECONDS - 900}
    place("hangs", [START], **on_node("12_0", **silent))
    place("packed", [START], **on_node("13_0", **silent))
    place.sweep("hangs", "packed")
    place.queue([("hangs",)], slurm_jobs=["12"], own_jobs={"hangs": "12_0"})
    place.queue([("packed",)], slurm_jobs=["13"])
    jobs = Job("12_0", "RUNNING", nodes="n1"), Job("13_0", "RUNNING", nodes="n1")
    status = sweep_status("s", answer=answer(*jobs))
    assert place.states(answer(*jobs)) == {"hangs": "stalled", "packed": "queued"}
    assert status.runs[0].reason.endswith("(job 12_0 RUNNING on n1)")


def test_a_missing_import_is_told_by_the_log_of_the_job(place, home):
    place.sweep("a")
    place.queue([("a",)], slurm_jobs=["12"])
    log = Store.at(home).sweep_dir("s") / "logs" / "12_0_0_log.err"
    write_atomic(log, "ModuleNotFoundError: No module named 'torch'\nsrun: error: n1: task 0\n")
    failed = Job("12_0", "FAILED", nodes="n1", exit_code="1:0")
    (failure,) = sweep_status("s", answer=answer(failed)).failures
    assert failure.cause == "import"


def test_a_canary_that_failed_is_named(place, home):
    place.sweep("a")
    queue = place.queue([("a",)], slurm_jobs=["13"], canary=["12"])
    folder = queue.path.parents[1] / "canary" / queue.path.stem / "0123"
    folder.mkdir(parents=True)
    event = {"event": "end", "status": "failed", "reason": "KeyError: 'x'"}
    (folder / JOURNAL).write_text(json.dumps(event) + "\n")
    gone = answer(Job("12", "FAILED", exit_code="1:0"), Job("13_0", "CANCELLED"))
    run = sweep_status("s", answer=gone).runs[0]
    assert (run.state, run.reason) == ("planned", "its canary failed: 0123: KeyError: 'x'")


def test_a_canary_that_was_killed_is_named_by_its_job(place):
    place.sweep("a")
    place.queue([("a",)], slurm_jobs=["13"], canary=["12"])
    gone = answer(Job("12", "OUT_OF_MEMORY", nodes="n1"), Job("13_0", "CANCELLED"))
    run = sweep_status("s", answer=gone).runs[0]
    expected = "its canary failed: job 12 ran out of memory on n1"
    assert (run.state, run.reason) == ("planned", expected)


def test_when_slurm_does_not_answer_the_folders_speak(place, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    place("works", [START], **on_node("12_0"))
    place("silent", [START], **on_node("12_1", time=time.time() - STALL_SECONDS - 5))
    place("done", [START, {"event": "end", "status": "done"}], state="done", step=1000)
    place.sweep("works", "silent", "done", "not begun")
    place.queue([("works",), ("silent",), ("done",), ("not begun",)], slurm_jobs=["12"])
    status = sweep_status("s")
    assert status.problem.startswith("SLURM does not answer (squeue: No such file")
    assert {run.run_id: run.state for run in status.runs} == {
        "works": "running",
        "silent": "queued",  # for all that is known another worker goes on with it
        "done": "done",
        "not begun": "queued",
    }


def test_gpu_hours_are_those_allocated_and_the_rest_follows_the_flops(place):
    place("done", [START, {"event": "end", "status": "done"}], state="done", step=1000)
    place.sweep("done", "a", "b")
    place.queue([("done",), ("a",), ("b",)], slurm_jobs=["12"])
    status = sweep_status("s", answer=answer(gpu_seconds=7200.0))
    assert (status.gpu_hours_used, status.gpu_hours_left) == (2.0, pytest.approx(4.0))
    assert {"gpu_hours_used", "gpu_hours_left", "failures", "problem"} <= set(status.to_dict())
    nobody_says = sweep_status("s", answer=answer())
    assert (nobody_says.gpu_hours_used, nobody_says.gpu_hours_left) == (None, None)


def test_the_rest_follows_what_was_computed_of_runs_that_stopped_early(place):
    ended = [START, {"event": "end", "status": "done", "tokens": 500}]
    place("early", ended, state="done", step=500)
    place.sweep("early", "a")
    place.queue([("early",), ("a",)], slurm_jobs=["12"])
    status = sweep_status("s", answer=answer(gpu_seconds=3600.0))
    assert (status.flops_done, status.flops_total) == (10.0, 20.0)
    assert status.gpu_hours_left == pytest.approx(2.0)  # an hour for half of a run like it
