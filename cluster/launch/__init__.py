"""From a sweep to processes: on this machine, in this process, or as SLURM jobs."""

from __future__ import annotations

from cluster.launch.cancel import cancel
from cluster.launch.remove import Removal, plan_removal, remove
from cluster.launch.submit import On, Rerun, Submission, submit

__all__ = [
    "On",
    "Removal",
    "Rerun",
    "Submission",
    "cancel",
    "plan_removal",
    "remove",
    "submit",
]
