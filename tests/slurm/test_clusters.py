"""A site of two clusters with one accounting: a sweep is sent to the other one, by its name."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest

from cluster import sweep_status
from cluster.launch import beside
from cluster.launch.cancel import cancel
from scaling.base import read_json
from scaling.run import STATE
from tests.slurm.conftest import freeze, thaw

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm-2")]


@pytest.fixture
def annex(slurm):
    """A second cluster beside the one that clients ask by themselves."""
    annex = slurm.second()
    try:
        annex.up()
        yield annex
    finally:
        annex.down(wipe=True)
        with contextlib.suppress(subprocess.CalledProcessError):  # it may still write
            slurm.ask("sacctmgr", "-iQ", "delete", "cluster", annex.name)


# slow: that each command of SLURM's finds a job on a cluster that is not its own
def test_a_sweep_on_another_cluster_is_followed_requeued_attached_to_and_cancelled(
    site, annex, monkeypatch
):
    monkeypatch.setenv("SLURM_CLUSTERS", site.cluster.name)  # a user's default, which jobs inherit
    resources = site.short_leases({"cluster": annex.name, "checkpoint_seconds": 0.5})
    sweep = site.sweep(num_tokens=128 * 800, resources=resources)
    (run_id,) = (entry.run_id for entry in sweep)
    run_dir = site.store.run_dir(run_id)
    (job,) = site.submit(sweep, workers=1, canary=True).job_ids
    number, _, name = job.partition("@")
    assert name == annex.name
    site.until(lambda: (read_json(run_dir / STATE) or {}).get("step"), what="the first step")
    pid = read_json(run_dir / STATE)["pid"]
    freeze(pid)
    try:
        (run,) = sweep_status("s").runs
        assert (run.state, run.job) == ("running", job)
        found = beside(site.store, run_id, ["printenv", "SLURM_CLUSTER_NAME"])
        said = subprocess.run(found.command, capture_output=True, text=True, check=False)
        assert said.stdout.strip() == annex.name, said.stderr
        annex.ask("scancel", "--signal=USR2", number)  # as for pre-emption: it asks for its return
    finally:
        thaw(pid)
    site.until(lambda: len(site.starts(run_id)) == 2, what="the second attempt")
    listed = ("sacct", "-X", "-n", "-P", "-D", "-j", number, "-o", "State")
    assert annex.ask(*listed).split()[0] == "REQUEUED"
    assert not site.cluster.ask("squeue", "-h").split()
    assert cancel("s").stopped
    assert sweep_status("s").counts == {"stopped": 1}
    site.submit(sweep, workers=1, wait=True)
    assert site.table(sweep) == site.undisturbed(sweep)
    assert len(site.starts(run_id)) == 3
    assert os.environ["SLURM_CONF"].startswith(str(site.cluster.folder))
