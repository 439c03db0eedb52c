"""A run that takes more memory than its job has: killed, named, retried; its neighbours end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cluster import sweep_status
from scaling.cli import main
from sweeps.sweep import Sweep
from tests.slurm.conftest import NO_SERVER

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm-2")]

HAS_CGROUPS = Path("/sys/fs/cgroup/memory/cgroup.procs").exists()  # of version 1
# The kernel kills one process of a job, or SLURM, which polls, the whole job. One of them is
# tested, for they take minutes: SCALING_SLURM_KILLER=polling asks for the other.
KILLERS = {
    "cgroup": {"TaskPlugin": "task/cgroup"},
    "polling": {"JobAcctGatherParams": "OverMemoryKill", "JobAcctGatherFrequency": "task=1"},
}
KILLER = os.environ.get("SCALING_SLURM_KILLER") or ("cgroup" if HAS_CGROUPS else "polling")


@pytest.fixture
def killer(slurm):
    """A cluster where a job's memory is a limit."""
    with slurm.configured(**KILLERS[KILLER]):
        yield


@pytest.mark.usefixtures("killer")
def test_a_run_out_of_memory_is_named_and_ends_with_more_and_its_neighbours_without(site, capsys):
    """39 million parameters with Adam take 0.9 GB; a small run, which comes first, 0.3 GB."""
    small = site.sweep(num_tokens=2048 * 900, batch_size=64)
    large = site.sweep(width=1280, depth=2, num_tokens=128)
    assert min(entry.spec.flops for entry in small) > large.flops
    resources = {"cpus": 2, "memory": "820MB", "minutes": 10, "checkpoint_seconds": 2}
    shim = site.short_leases({})
    sweep = Sweep("s", (*small.entries, *large.entries), {**resources, **shim})
    (hog,) = (entry.run_id for entry in large)
    site.submit(sweep, workers=1)

    def counts():
        return sweep_status("s").counts

    site.until(lambda: counts() == {"done": 1, "failed": 1}, 600, "the end of the others")
    site.until(lambda: not sweep_status("s").is_live, 100, "the end of the job")
    (failure,) = sweep_status("s").failures
    assert failure.cause == "oom"
    assert [run.run_id for run in failure.runs] == [hog]
    assert "3 workers died doing this run (out of memory" in failure.reason
    assert failure.remedy == "scaling retry s --cause oom --set memory=1640MB"
    assert all(len(site.starts(entry.run_id)) <= 3 for entry in small)

    command = failure.remedy.split()[1:]
    assert main([*command, "--json", "--wait", "--tracking-uri", NO_SERVER]) == 0
    assert json.loads(capsys.readouterr().out)["submitted"] == [hog]
    assert site.table(sweep) == site.undisturbed(sweep)
