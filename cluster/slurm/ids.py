"""What a job is called here: ``12``, ``12_3`` for a task of an array, ``12_3@b`` on cluster ``b``.

Numbers are a cluster's own, so what was sent to a named one keeps its name; without one it is of
the cluster that SLURM's commands ask by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def named(job_id: str, cluster: str) -> str:
    """A job of a cluster, by SLURM's own id of it.

    Examples
    --------
    >>> named("12_3", "b"), named("12_3", "")
    ('12_3@b', '12_3')
    """
    return f"{job_id}@{cluster}" if cluster else job_id


def plain(job_id: str) -> tuple[str, str]:
    """SLURM's own id, and the cluster; the reverse of :func:`named`.

    Examples
    --------
    >>> plain("12_3@b"), plain("12")
    (('12_3', 'b'), ('12', ''))
    """
    own, _, cluster = job_id.partition("@")
    return own, cluster


def number(job_id: str) -> str:
    """The job, of an array's task the one for all its tasks: ``12@b`` for ``12_3@b``."""
    own, cluster = plain(job_id)
    return named(re.split(r"[_+.]", own, maxsplit=1)[0], cluster)


def by_cluster(job_ids: Iterable[str]) -> dict[str, list[str]]:
    """SLURM's own ids by cluster, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for own, cluster in map(plain, job_ids):
        found.setdefault(cluster, []).append(own)
    return found
