"""A search on SLURM: its jobs ask for run after run, and a cancel loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.work import outlook
from scaling.run import sweep_path
from sweeps import Sweep, load_sweep
from tests.cluster.work.test_search import file

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-1")]


def test_two_jobs_do_a_search_to_its_budget(site):
    sweep = load_sweep({**file("asha", budget=1.2e7), "resources": {"memory": "1GB"}})
    site.submit(sweep, workers=2, wait=True)
    seen = outlook(site.store, "s")
    done = Sweep.read(sweep_path(site.store, "s"))
    assert seen.end
    assert seen.progress.ended == len(done) > 4
    assert {status for status, *_ in site.table(done).values()} == {"done"}


def test_what_gives_each_run_a_job_of_its_own_is_refused(site):
    sweep = replace(load_sweep(file("random")), resources={"alone": True})
    with pytest.raises(ValueError, match="the runs of a search are not known before"):
        site.submit(sweep, workers=2)
