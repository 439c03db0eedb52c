"""Whatever SLURM does to a job: the table is bit for bit that of an undisturbed sweep."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from cluster import sweep_status
from cluster.slurm.jobs import ask_queue
from scaling.base import read_json
from scaling.run.journal import end, read_journal
from tests.slurm.conftest import freeze, is_signalled, thaw

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-3")]

TOKENS = 128 * 800
REFUSAL = re.compile("Unable to contact slurm controller|Unexpected message received")


@pytest.fixture
def frozen(site):
    """Sends a sweep and stops its first run's process when it has begun to train.

    Returns the sweep, its job and the process; whoever thaws it has all the time to set a trap
    before, on a fast machine too.
    """
    stopped = []

    def begin(**options):
        resources = site.short_leases(options.pop("resources", {}))
        sweep = site.sweep(**{"num_tokens": TOKENS, **options}, resources=resources)
        submission = site.submit(sweep, workers=1)
        state = site.store.run_dir(sweep.entries[0].run_id) / "state.json"
        site.until(lambda: (read_json(state) or {}).get("step"), what="the first run")
        pid = read_json(state)["pid"]
        freeze(pid)
        stopped.append(pid)
        return sweep, submission.job_ids[0], pid

    yield begin
    for pid in stopped:
        thaw(pid)


def finish(site, sweep, job):
    """Wait for the end of the sweep and of its job; compare the table."""

    def ended():
        ends = [end(read_journal(site.store.run_dir(entry.run_id))) for entry in sweep]
        return all(ends) and not site.cluster.ask("squeue", "-h", "-j", job).split()

    site.until(ended, 600, "the end of the sweep")
    assert site.table(sweep) == site.undisturbed(sweep)


def first_steps(site, sweep):
    """Where each attempt of the first run began."""
    return [start["step"] for start in site.starts(sweep.entries[0].run_id)]


def attempts(site, job):
    """How the attempts of a job ended, by sacct."""
    lines = site.cluster.ask("sacct", "-X", "-n", "-P", "-D", "-j", job, "-o", "State")
    return lines.splitlines()


def crowd_out(site, pid):
    """A job of higher priority needs all nodes for two seconds; back when ``pid`` was told."""
    options = ("-p", "high", "-N", "4", "--exclusive", "-o", "/dev/null")
    site.cluster.ask("sbatch", *options, "--wrap", "sleep 2")
    site.until(lambda: is_signalled(pid), 120, "SLURM's signal")


@pytest.mark.parametrize("user_signals", [True, False])
def test_preemption_checkpoints_and_goes_on(site, frozen, user_signals):
    """With a signal before, and by SIGTERM alone."""
    with contextlib.ExitStack() as stack:
        if not user_signals:
            stack.enter_context(site.cluster.configured(user_signals=False))
        sweep, job, pid = frozen()
        crowd_out(site, pid)
        thaw(pid)
        finish(site, sweep, job)
    steps = first_steps(site, sweep)
    assert len(steps) == 2
    assert steps[1] > 0


def test_a_controller_that_dies_and_comes_back_changes_nothing(site, frozen):
    """The run ends meanwhile; nothing that asks SLURM takes its silence for an end."""
    sweep, job, pid = frozen()
    site.cluster.wait_until_saved(job)
    site.cluster.stop_controller()
    try:
        status = sweep_status("s")
        assert status.problem.startswith("squeue does not answer")
        assert status.is_live
        assert status.counts in ({"running": 1}, {"queued": 1})  # its worker is frozen
        assert ask_queue([job]).may_run(job)
        thaw(pid)
        run_dir = site.store.run_dir(sweep.entries[0].run_id)
        site.until(lambda: end(read_journal(run_dir)), what="the end of the run")
    finally:
        site.cluster.start_controller()
    finish(site, sweep, job)
    assert first_steps(site, sweep) == [0]
    site.until(lambda: attempts(site, job) == ["COMPLETED"], what="the accounting")


def test_a_job_near_its_limit_goes_back_into_the_queue_from_a_place_without_slurm(site, tmp_path):
    """Two minutes less a margin of 90 s: 30 s for each attempt at a long run.

    Its Python finds no command of SLURM, as in a container, and the controller is away when the
    time is over: what is outside asks until it is back.
    """
    shell = shlex.quote(str(tmp_path / "nothing"))
    resources = {
        "minutes": 2,
        "margin_seconds": 90,
        "python": f"env PATH={shell} {shlex.quote(sys.executable)}",
        "setup": [f"export PYTHONPATH={shlex.quote(str(Path.cwd()))}"],
    }
    sweep = site.sweep(num_tokens=128 * 10**6, resources=resources)
    (job,) = site.submit(sweep, workers=1).job_ids
    site.until(lambda: first_steps(site, sweep), what="the first attempt")
    site.cluster.wait_until_saved(job)
    site.cluster.stop_controller()
    try:
        log = site.store.sweep_dir("s") / "logs" / f"{job}_0_log.err"
        site.until(lambda: REFUSAL.search(log.read_text()), 120, "the first refusal")
    finally:
        site.cluster.start_controller()
    site.until(lambda: len(first_steps(site, sweep)) == 2, what="the second attempt")
    assert first_steps(site, sweep)[1] > 0
    assert attempts(site, job)[0] == "REQUEUED"


def test_killed_workers_killed_foremen_and_requeues_lose_nothing(site, frozen):
    """One after another: the foreman replaces its worker, then the job itself comes back."""
    sweep, job, pid = frozen(seed=[0, 1])
    foreman = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    site.until(lambda: len(first_steps(site, sweep)) == 2, what="a new worker")
    os.kill(foreman, signal.SIGKILL)
    site.until(lambda: attempts(site, job)[0] == "REQUEUED", what="the job's return")
    site.until(lambda: site.cluster.ask("squeue", "-h", "-t", "R", "-j", job), what="its start")
    site.cluster.ask("scontrol", "requeue", job)
    finish(site, sweep, job)
    assert attempts(site, job) == ["REQUEUED", "REQUEUED", "COMPLETED"]


def test_a_worker_that_makes_no_step_is_killed_and_its_run_goes_on_in_another_attempt(site, frozen):
    sweep, job, _ = frozen(resources={"silent_minutes": 0.25})
    finish(site, sweep, job)
    assert attempts(site, job) == ["REQUEUED", "COMPLETED"]
    events = read_journal(site.store.run_dir(sweep.entries[0].run_id))
    (stall,) = [event for event in events if event["event"] == "stalled"]
    assert stall["reason"].startswith("no step for ")


def test_an_orphan_of_a_dead_node_never_wins_over_its_successor(site, frozen):
    """Kill -9 of a slurmd: SLURM starts the job elsewhere while the old process still lives.

    It is frozen until the other one has taken over, and then tries to go on.
    """
    sweep, job, orphan = frozen()
    (node,) = site.cluster.ask("squeue", "-h", "-j", job, "-o", "%N").split()
    site.cluster.kill_node(node)
    try:
        site.until(lambda: len(first_steps(site, sweep)) == 2, what="the successor")
        assert "NODE_FAIL" in attempts(site, job)
        thaw(orphan)
        finish(site, sweep, job)
    finally:
        site.cluster.start_node(node)
        site.cluster.wait_until_idle()
    site.until(lambda: not Path(f"/proc/{orphan}").exists(), what="the orphan's end")
    events = read_journal(site.store.run_dir(sweep.entries[0].run_id))
    assert [event["event"] for event in events].count("end") == 1
