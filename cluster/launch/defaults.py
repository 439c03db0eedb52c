"""A user's own defaults of ``sbatch`` (``SBATCH_*``), which win over what a batch script says.

Where a sweep decides, they must not: a ``SBATCH_TIMELIMIT`` of the user's shell would end jobs
that count on another limit, a ``SLURM_CLUSTERS`` send them elsewhere. Where it leaves a choice to
the site (partition, account, ...), they are that choice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from sweeps import OWNED, Resources

LEFT_TO_USERS = ("partition", "account", "qos", "constraint")
CLUSTERS = "SLURM_CLUSTERS"  # of all commands
_VARIABLES = {"time": "TIMELIMIT", "array": "ARRAY_INX", "mem": "MEM_PER_NODE"}


def overriding(resources: Resources) -> set[str]:
    """Variables of the environment that would override what jobs with these resources are."""
    free = {name for name in LEFT_TO_USERS if not getattr(resources, name)}
    options = {*OWNED, *resources.sbatch, "job-name"} - free
    names = (_VARIABLES.get(name, name.replace("-", "_").upper()) for name in options)
    return {CLUSTERS, *(f"SBATCH_{name}" for name in names)}


@contextlib.contextmanager
def as_the_sweep_says(resources: Resources) -> Iterator[None]:
    """Without the user's defaults, where the sweep decides, inside the block."""
    names = overriding(resources)
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def default_cluster() -> str:
    """The cluster that the user's commands go to by themselves; empty for the site's."""
    return os.environ.get("SBATCH_CLUSTERS") or os.environ.get(CLUSTERS) or ""
