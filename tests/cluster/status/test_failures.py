"""Why runs break, from the words of torch, Python, SLURM and this project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.slurm.jobs import FAILING, Job
from cluster.status.failures import group_failures
from cluster.status.run_status import RunStatus
from cluster.work.causes import NAMES, Fault, fault_of_end, fault_of_error, fault_of_job
from scaling.base import Store
from scaling.run.log import LOG, log_tail


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a", "oom"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate "
         "memory: you tried to allocate 40 bytes", "oom"),
        ("_ArrayMemoryError: Unable to allocate 74.5 GiB for an array with shape (1,)", "oom"),
        ("OSError: [Errno 28] No space left on device: 'metrics.jsonl'", "disk"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk"),
        ("ModuleNotFoundError: No module named 'torch'", "import"),
        ("ImportError: libcudart.so.12: cannot open shared object file: No such file", "import"),
        ("ValueError: data set 'tiny' has fingerprint 12 here, the run asks for 34", "data"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'train-0003.bin'", "data"),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", "node"),
        ("DistBackendError: NCCL error in: ProcessGroupNCCL.cpp", "node"),
        ("RuntimeError: loss is nan at step 3", "non-finite"),
        ("slurmstepd: error: StepId=1.0 exceeded memory limit (9 > 8), being killed", "oom"),
        ("Detected 1 oom-kill event(s) in StepId=2.0. Some of your processes may", "oom"),
        ("ZeroDivisionError: division by zero", "other"),
        ("RuntimeError: information is inflated", "other"),
    ],
)  # fmt: skip
def test_the_words_of_a_failure_tell_its_cause(reason, cause):
    assert fault_of_error(reason).cause == cause
    assert fault_of_end({"status": "failed", "reason": reason}).cause == cause


@pytest.mark.parametrize("cause", ["killed", "oom"])
def test_a_run_that_took_its_workers_with_it_has_the_cause_that_its_end_says(cause):
    """The reason is for people: its words decide nothing."""
    end = {"status": "failed", "reason": "3 workers died doing this run", "cause": cause}
    assert fault_of_end(end) == Fault(cause, "run")


@pytest.mark.parametrize(
    ("state", "code", "cause"),
    [
        ("OUT_OF_MEMORY", "0:125", "oom"),
        ("TIMEOUT", "0:0", "time"),
        ("DEADLINE", "0:0", "time"),
        ("NODE_FAIL", "0:0", "node"),
        ("BOOT_FAIL", "0:0", "node"),
        ("LAUNCH_FAILED", "0:0", "node"),
        ("FAILED", "28:0", "disk"),
        ("FAILED", "12:0", "oom"),
        ("FAILED", "9:0", "killed"),
        ("FAILED", "137:0", "killed"),
        ("FAILED", "0:9", "killed"),
        ("FAILED", "1:0", "other"),
    ],
)
def test_each_way_of_a_job_to_end_badly_has_a_cause(state, code, cause, tmp_path):
    """Whatever its node is called."""
    assert state in FAILING
    job = Job("12_3", state, nodes="data-shard-nan1", exit_code=code)
    assert fault_of_job(job, tmp_path / "no log") == Fault(cause, "job")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ModuleNotFoundError: No module named 'torch'\nsrun: error: n1: task 0", "import"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=2.0.", "oom"),
        ("worker 0 ended with -9, killed by the kernel: out of memory", "other"),
    ],
)
def test_a_job_that_just_failed_has_the_cause_that_slurm_or_python_wrote_down(
    text, cause, tmp_path
):
    log = tmp_path / "log"
    log.write_text(text + "\n")
    assert fault_of_job(Job("12_3", "FAILED", exit_code="1:0"), log).cause == cause
    assert fault_of_job(Job("12_3", "TIMEOUT", exit_code="1:0"), log).cause == "time"


def test_only_broken_runs_have_a_cause():
    assert fault_of_end({"status": "done", "reason": "out of memory"}).cause == ""
    assert fault_of_end({"status": "diverged"}).cause == "non-finite"


def run(run_id, state, reason, job=""):
    fault = fault_of_end({"status": state, "reason": reason})
    return RunStatus(run_id, f"run {run_id}", state, reason, 1.0, 0, 10, None, None, 0, job, fault)


def cut_off(run_id, job):
    fault = fault_of_job(job, Path("no log"))
    status = run(run_id, "failed", str(job), job.job_id)
    return replace(status, fault=fault)


@pytest.fixture
def grouped(home):
    store = Store.at(home)

    def group(*runs, **resources):
        return group_failures("s", runs, store, {r.run_id: resources for r in runs})

    return group


def test_groups_are_by_cause_the_largest_first_with_the_usual_reason_and_a_log(grouped, home):
    folder = Store.at(home).run_dir("b")
    folder.mkdir(parents=True)
    (folder / LOG).write_text("".join(f"line {i}\n" for i in range(1000)) + "\nZeroDivision\n")
    groups = grouped(
        run("a", "failed", "CUDA out of memory. Tried to allocate 1 GiB"),
        run("b", "failed", "ZeroDivisionError: 3"),
        run("c", "failed", "KeyError: 'x'"),
        run("d", "failed", "ZeroDivisionError: 4"),
        run("e", "done", ""),
    )
    assert [(g.cause, len(g.runs)) for g in groups] == [("other", 3), ("oom", 1)]
    assert groups[0].reason == "ZeroDivisionError: 3"
    assert groups[0].log_tail.splitlines() == ["line 998", "line 999", "ZeroDivision"]
    assert groups[0].remedy == "scaling retry s --cause other"
    assert {g.cause for g in groups} <= set(NAMES)


def test_a_job_that_is_to_blame_has_its_own_log(grouped, home):
    logs = Store.at(home).sweep_dir("s") / "logs"
    logs.mkdir(parents=True)
    (logs / "12_3_0_log.err").write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    job = Job("12_3", "OUT_OF_MEMORY", nodes="n1")
    assert grouped(cut_off("a", job))[0].log_tail.startswith("slurmstepd")


def test_the_command_changes_what_ran_out(grouped):
    host = cut_off("a", Job("12_3", "OUT_OF_MEMORY", nodes="n1"))
    assert host.reason == "job 12_3 ran out of memory on n1"
    assert grouped(host, memory="600MB")[0].remedy.endswith("--cause oom --set memory=1200MB")
    assert grouped(host, memory="1.5GB")[0].remedy.endswith("--cause oom --set memory=3GB")
    assert grouped(host)[0].remedy.endswith("--cause oom")
    card = run("a", "failed", "CUDA out of memory")
    assert grouped(card, micro_batch=8)[0].remedy.endswith("--set micro_batch=4")
    assert grouped(card, batch_size=64)[0].remedy.endswith("--set micro_batch=32")
    assert grouped(card, micro_batch=1)[0].remedy.endswith("--cause oom")
    late = cut_off("a", Job("12_3", "TIMEOUT", nodes="n1"))
    assert late.reason == "job 12_3 reached its time limit on n1"
    assert grouped(late, minutes=30.0)[0].remedy.endswith("--cause time --set minutes=60")
    diverged = run("a", "diverged", "loss 1e9")
    assert "a retry gives the same" in grouped(diverged)[0].remedy


def test_a_log_that_is_not_there_has_no_tail(tmp_path):
    assert log_tail(tmp_path / "none", 3) == ""
