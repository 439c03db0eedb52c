"""From a sweep to processes: on this machine, in this process, or as SLURM jobs."""

from __future__ import annotations

from cluster.launch.adopt import Adoption, adopt
from cluster.launch.archive import Archived, archive, restore
from cluster.launch.attach import attach, beside
from cluster.launch.cancel import cancel
from cluster.launch.remove import Removal, plan_removal, remove
from cluster.launch.submit import On, Rerun, Submission, submit

__all__ = [
    "Adoption",
    "Archived",
    "On",
    "Removal",
    "Rerun",
    "Submission",
    "adopt",
    "archive",
    "attach",
    "beside",
    "cancel",
    "plan_removal",
    "remove",
    "restore",
    "submit",
]
