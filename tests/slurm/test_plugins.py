"""A model, a task and data of a user's own on SLURM: jobs have them from the copy of the code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cluster import sweep_status
from sweeps import load_sweep

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-1")]
EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins"


def test_jobs_find_what_is_plugged_in(site, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))  # of this process alone
    try:
        sweep = load_sweep(EXAMPLE / "waves.yaml")
        site.submit(sweep, workers=1)
        site.until(lambda: sweep_status("my-waves").counts == {"done": 8}, what="the end")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
            del sys.modules[name]
