"""Which node this process runs on, and in which job."""

from __future__ import annotations

import contextlib

from scaling.world import os, path_at, platform


def node_name() -> str:
    """The node's name: SLURM's, where it started this process, else the machine's.

    Several virtual nodes of a test cluster share one machine's name.
    """
    return os.environ.get("SLURMD_NODENAME") or platform.node()


CLUSTER = "SCALING_SLURM_CLUSTER"  # in a job that was sent to a cluster by its name: that name


def slurm_job() -> str:
    """The SLURM job of this process, ``12_3`` for a task of an array; empty without SLURM.

    ``12_3@b`` in a job that was sent to the cluster ``b`` by its name.
    """
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}", "") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    cluster = os.environ.get(CLUSTER, "")
    return f"{job}@{cluster}" if job and cluster else job


def here() -> dict[str, str]:
    """Where this attempt is, for its journal: the node's name and, under SLURM, the job."""
    job = slurm_job()
    return {"host": node_name(), **({"job": job} if job else {})}


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since it started; 0 if not known."""
    with contextlib.suppress(OSError):
        for line in path_at("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0
