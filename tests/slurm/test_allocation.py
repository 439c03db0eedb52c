"""What a lab's allocation needs, on a real SLURM: a cap, a sweep after another, a shell beside."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from cluster import sweep_status
from cluster.launch import beside
from scaling.run import read_turns
from sweeps.policy import Policy

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-2")]
SHIM = """\
import cluster.work.ledger
cluster.work.ledger.LOOK_SECONDS = 1.0
"""


@pytest.mark.slow  # that SLURM itself holds a sweep back, and that srun shares a running job
def test_a_cap_ends_a_job_and_the_next_sweep_follows_the_one_before(site, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SHIM)
    resources = {"setup": [f"export PYTHONPATH={tmp_path}"], "sbatch": {"comment": "lab"}}
    first = site.sweep("first", num_tokens=64 * 128 * 64, resources=resources)
    first = replace(first, policy=Policy(max_cpu_hours=0.001))  # 3.6 s of a core
    then = replace(site.sweep("then", seed=[5]), policy=Policy(after=("first",), priority=-7))
    site.submit(first)
    site.until(lambda: not sweep_status("first").is_live, what="the cap")
    status = sweep_status("first")
    assert status.counts == {"stopped": 1} and "of max_cpu_hours 0.001" in status.cap
    site.submit(first, settings={"max_cpu_hours": 100})
    site.until(lambda: sweep_status("first").counts == {"running": 1}, what="the first sweep")
    (job,) = site.submit(then).job_ids
    told = site.cluster.ask("scontrol", "show", "job", job)
    assert "Dependency=afterany:" in told and "Nice=7" in told
    (run,) = sweep_status("then").runs
    assert (run.state, run.reason) == ("queued", "after sweep first")
    found = beside(site.store, first.entries[0].run_id, ["printenv", "SLURM_JOB_ID"])
    said = subprocess.run(found.command, capture_output=True, text=True, check=True, timeout=60)
    assert found.what.endswith(f"on {found.command[3].partition('=')[2]}") and said.stdout.strip()
    site.until(lambda: sweep_status("then").counts == {"done": 1}, what="the second sweep")
    ended = read_turns(site.store.run_dir(first.entries[0].run_id))[-1]
    began = read_turns(site.store.run_dir(then.entries[0].run_id))[0]
    assert ended["status"] == "done" and ended["time"] <= began["time"]
