"""Looking after a sweep on SLURM: status, cancel, retry by cause, and offline workers."""

from __future__ import annotations

import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import sweep_status
from cluster.launch import slurm as place
from cluster.launch.cancel import cancel
from scaling.base import WorkError, read_json
from scaling.cli import main
from scaling.run import STATE
from tests.slurm.conftest import NO_SERVER, freeze, is_signalled, thaw

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-2")]

LONG = 64 * 128 * 20  # tokens; some seconds


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_cancel_checkpoints_what_runs_and_retry_finishes_with_the_same_bits(site):
    """Two run, one waits in a worker's queue; none of them is begun anew."""
    resources = {"cpus": 1, "gpus": 1, "device": "cpu"}
    sweep = site.sweep(seed=[0, 1, 2], num_tokens=LONG, resources=resources)
    site.submit(sweep, workers=2)
    site.until(lambda: sweep_status("s").counts.get("running") == 2, 300, "two runs")
    running = [run.run_id for run in sweep_status("s").in_state("running")]
    pids = [read_json(site.store.run_dir(run_id) / STATE)["pid"] for run_id in running]
    for pid in pids:  # so that no machine is too fast
        freeze(pid)
    status = sweep_status("s")
    assert status.is_live
    assert status.problem == ""
    assert all(run.job.endswith(("_0", "_1")) for run in status.in_state("running"))
    site.until(lambda: sweep_status("s").gpu_hours_used, 300, "accounting")
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(cancel, "s")
        for pid in pids:
            site.until(lambda pid=pid: is_signalled(pid), 60, "the word to stop")
            thaw(pid)
        assert cancelled.result().stopped
    assert not site.cluster.ask("squeue", "-h", "-n", "s").split()
    status = sweep_status("s")
    assert status.counts == {"planned": 1, "stopped": 2}
    assert not status.is_live
    for run in status.in_state("stopped"):
        assert list(site.store.run_dir(run.run_id).glob("checkpoint*.pt"))
    site.submit(sweep, workers=2, wait=True)
    assert {len(site.starts(run.run_id)) for run in status.in_state("stopped")} == {2}
    assert site.table(sweep) == site.undisturbed(sweep)


@pytest.mark.parametrize("alone", [True, False])
def test_cancel_of_one_run_ends_its_own_job_or_leaves_a_packed_one_to_the_others(site, alone):
    resources = {"cpus": 1, "alone": True} if alone else {"cpus": 1}
    sweep = site.sweep(seed=[0, 1], num_tokens=LONG, resources=resources)
    site.submit(sweep, workers=2 if alone else 1)
    first = {"running": 2} if alone else {"running": 1, "queued": 1}
    site.until(lambda: sweep_status("s").counts == first, 300, "the first run")
    run = sweep_status("s").in_state("running")[0]
    pid = read_json(site.store.run_dir(run.run_id) / STATE)["pid"]
    freeze(pid)  # so that no machine is too fast
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(cancel, "s", run_id=run.run_id)
        asked = site.store.sweep_dir("s") / "submissions"
        site.until(lambda: list(asked.glob(f"*.stopped/{run.run_id}")), 60, "the word to stop")
        thaw(pid)
        assert cancelled.result().stopped
    assert list(site.store.run_dir(run.run_id).glob("checkpoint*.pt"))
    site.until(lambda: sweep_status("s").counts == {"done": 1, "stopped": 1}, 300, "the other")
    site.submit(sweep, workers=2, wait=True)
    assert sweep_status("s").counts == {"done": 2}
    assert len(site.starts(run.run_id)) == 2


def test_what_a_dead_job_leaves_has_a_cause_and_a_retry(site, capsys):
    """Its setup fails, so nothing is trained in the wrong place, and one command does the runs."""
    sweep = site.sweep(seed=[0, 1], resources={"setup": ["module load none-such"]})
    site.submit(sweep, workers=1)
    site.until(lambda: sweep_status("s").counts == {"failed": 2}, 300, "the end of the job")
    (failure,) = sweep_status("s").failures
    assert "failed: a line of setup failed on node" in failure.reason
    assert failure.cause == "import"
    assert "setup failed: module load none-such" in failure.log_tail
    assert len(failure.runs) == 2
    command = ["retry", "s", "--cause", failure.cause, "--set", "cpus=1", "--dry-run", "--json"]
    assert main(command) == 0
    assert len(said(capsys)["submitted"]) == 2


@pytest.fixture
def unlaunchable(slurm):
    """No node can launch the next jobs: a file is where the folder of each should be."""
    config = slurm.ask("scontrol", "show", "config")
    number = int(re.search(r"NEXT_JOB_ID\s*=\s*(\d+)", config)[1])
    spools = [slurm.folder / "spool" / node for node in slurm.node_names]
    paths = [spool / f"job{number + i:05d}" for spool in spools for i in range(10)]
    for path in paths:
        path.touch()

    def mend():
        for path in paths:
            path.unlink(missing_ok=True)

    yield mend
    mend()


def test_what_slurm_holds_because_it_could_not_launch_it_goes_on_after_a_retry(
    site, unlaunchable, capsys
):
    sweep = site.sweep(seed=[0, 1])
    site.submit(sweep, workers=1)
    site.until(lambda: sweep_status("s").counts == {"stalled": 2}, 120, "a held job")
    (failure,) = sweep_status("s").failures
    assert failure.cause == "node"
    assert "could not be launched and SLURM holds it" in failure.reason
    unlaunchable()
    assert main([*shlex.split(failure.remedy)[1:], "--wait", "--tracking-uri", NO_SERVER]) == 0
    assert "released" in capsys.readouterr().err
    assert site.table(sweep) == site.undisturbed(sweep)
    site.until(lambda: not site.cluster.ask("squeue", "-h").split(), 60, "the end of both jobs")


def test_who_waits_for_a_sweep_releases_what_slurm_holds(site, unlaunchable, monkeypatch, capsys):
    monkeypatch.setattr(place, "ATTEMPTS", 100)
    sweep, begun = site.sweep(), (site.store.sweep_dir("s") / "sweep.jsonl").exists
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.submit, sweep, workers=1, wait=True)
        site.until(lambda: begun() and sweep_status("s").counts == {"stalled": 1}, 120, "a hold")
        unlaunchable()
        waiting.result(timeout=300)
    assert "released" in capsys.readouterr().err
    assert site.table(sweep) == site.undisturbed(sweep)


def test_a_job_that_can_never_be_launched_is_not_waited_for(site, unlaunchable, monkeypatch):
    monkeypatch.setattr(place, "ATTEMPTS", 1)
    with pytest.raises(WorkError, match=r"could not launch job .*, 1 times: see the nodes"):
        site.submit(site.sweep(), workers=1, wait=True)


def test_a_held_job_is_queued_for_the_reason_that_slurm_gives(site):
    sweep = site.sweep(resources={"sbatch": {"hold": True}})
    submission = site.submit(sweep, workers=1)
    (run,) = sweep_status("s").runs
    assert (run.state, run.reason) == ("queued", "SLURM says JobHeldUser")
    assert cancel("s").stopped
    assert sweep_status("s").counts == {"planned": 1}
    assert submission.job_ids


def test_workers_without_a_tracking_server_are_shipped_later_and_once(site, store_ready, capsys):
    from scaling.tracking.ready import connect

    sweep = site.sweep(seed=[0, 1])
    site.submit(sweep, workers=1, wait=True)  # its tracking server is down all the time
    for _ in range(2):
        assert main(["sync", "s", "--tracking-uri", store_ready]) == 0
        assert "2 runs are complete" in capsys.readouterr().out
    client = connect(store_ready)
    experiment = client.get_experiment_by_name("s").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 2
    for run in runs:
        _, loss, curve = site.table(sweep)[run.data.params["run_id"]]
        assert run.data.metrics["final/loss"] == loss
        history = client.get_metric_history(run.info.run_id, "heldout/loss")
        assert sorted((m.step, m.value) for m in history) == [(s, x) for s, x, _ in curve]
