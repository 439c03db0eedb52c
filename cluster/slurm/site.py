"""What a SLURM site has, as ``sinfo`` and ``scontrol`` say, and whether a job fits there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.slurm.command import output
from scaling.base import WorkError, refuse_unknown
from sweeps import SHORTEST_MINUTES, Resources

SINFO = ("sinfo", "-h", "-e", "-o", "%P|%l|%c|%m|%G|%f|%D")

Ask = Callable[[Sequence[str], str], str]
CLUSTERS = ("sacctmgr", "-n", "-P", "list", "cluster", "format=cluster")


@dataclass(frozen=True)
class NodeGroup:
    """Equal nodes of one partition.

    Attributes
    ----------
    minutes : float or None
        The partition's time limit; None for none.
    cpus, gpus, memory_mb : int
        Of one node.
    count : int
        How many of them.
    gpu_types : tuple of str
        What the site calls its GPUs.
    """

    partition: str
    is_default: bool
    minutes: float | None
    cpus: int
    memory_mb: int
    gpus: int
    features: tuple[str, ...]
    count: int
    gpu_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """The nodes of a cluster, how large an array may be, and what the cluster is called."""

    groups: tuple[NodeGroup, ...]
    max_array: int
    name: str = ""

    @classmethod
    def ask(cls, cluster: str = "", ask: Ask = output) -> Site:
        """The cluster of that name, or the one that SLURM's commands ask by themselves.

        Raises
        ------
        ValueError
            If the accounting knows no such cluster.
        WorkError
            If they do not answer.
        """
        try:
            lines = ask(SINFO, cluster).splitlines()
        except WorkError:
            _refuse_unknown_cluster(cluster, ask)
            raise
        groups = tuple(_group(line) for line in lines if line.count("|") == SINFO[-1].count("|"))
        config = ask(("scontrol", "show", "config"), cluster)
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", config)
        name = re.search(r"^ClusterName\s*=\s*(\S+)", config, re.MULTILINE)
        size = max(1, int(found[1])) if found else 1001  # 0: the site has no arrays
        return cls(groups, size, name[1] if name else cluster)

    def check(self, resources: Resources) -> None:
        """Refuse what no job of this site could have.

        Raises
        ------
        ValueError
            With the value, the limit and the remedy.
        """
        for partition in resources.partitions:
            self._check(resources, self._partition(partition))

    def _check(self, resources: Resources, groups: list[NodeGroup]) -> None:
        name = groups[0].partition
        self._check_time(resources, name, groups[0].minutes)
        if wanted_type := resources.gpu_type:
            types = sorted({kind for group in groups for kind in group.gpu_types})
            groups = [group for group in groups if wanted_type in group.gpu_types]
            if not groups:
                raise ValueError(
                    f"gpus {wanted_type}:{resources.gpus}: the GPUs of partition {name!r} are "
                    f"{', '.join(types) or 'of no type'}: ask for one of these, or add a fallback"
                )
        fitting = groups
        for what, wanted, have, unit in (
            ("cpus", resources.cpus_per_task * resources.tasks_per_node, "cpus", ""),
            ("memory", resources.memory_mb, "memory_mb", " MB"),
            ("gpus", resources.gpus, "gpus", ""),
        ):
            most = max(getattr(group, have) for group in groups)
            if wanted > most:
                raise ValueError(
                    f"{what} {wanted:g}{unit} a node: a node of partition {name!r} has at most "
                    f"{most}{unit}: ask for less, or for another partition"
                )
            fitting = [group for group in fitting if getattr(group, have) >= wanted]
        if not fitting:
            raise ValueError(
                f"no node of partition {name!r} has the cpus, memory and gpus together: ask for "
                "less of one"
            )
        count = sum(group.count for group in fitting)
        if resources.nodes > count:
            raise ValueError(
                f"nodes {resources.nodes}: partition {name!r} has {count} that fit: ask for fewer"
            )
        known = {feature for group in groups for feature in group.features}
        wanted_feature = resources.constraint
        if re.fullmatch(r"[\w.-]+", wanted_feature) and wanted_feature not in known:
            has = ", ".join(sorted(known)) or "none"
            raise ValueError(
                f"constraint {wanted_feature!r}: the features of partition {name!r} are {has}"
            )

    def limit(self, partition: str) -> float | None:
        """The time limit of a partition (the default's for an empty name) in minutes.

        Of several (``a,b``) the shortest.
        """
        limits = [self._partition(name)[0].minutes for name in partition.split(",")]
        return min((limit for limit in limits if limit is not None), default=None)

    def _partition(self, name: str) -> list[NodeGroup]:
        """The nodes of a partition, of the default one for an empty name."""
        names = sorted({group.partition for group in self.groups})
        default = [group.partition for group in self.groups if group.is_default]
        name = name or (default or [""])[0]
        if not name:
            raise ValueError(f"this site has no default partition: give one of {', '.join(names)}")
        if name not in names:
            refuse_unknown(name, names, "partition")
        return [group for group in self.groups if group.partition == name]

    def _check_time(self, resources: Resources, name: str, limit: float | None) -> None:
        minutes = resources.minutes
        if minutes is None:
            return
        if limit is not None and minutes > limit:
            raise ValueError(
                f"minutes {minutes:g} is over the limit of partition {name!r}, {limit:g}: a "
                "worker that reaches its limit checkpoints and goes on in the queue, so ask for "
                f"{limit:g} or less"
            )
        if minutes < SHORTEST_MINUTES:
            raise ValueError(
                f"minutes {minutes:g} is below {SHORTEST_MINUTES:g}: SLURM counts in minutes, "
                "and starting Python and the last checkpoint take most of one"
            )
        if resources.margin > 60 * minutes - 15:
            raise ValueError(
                f"margin_seconds {resources.margin:g} leaves nothing of {minutes:g} minutes: "
                "lower it, or raise minutes"
            )


def _refuse_unknown_cluster(cluster: str, ask: Ask) -> None:
    """Say which clusters there are where a command does not reach one of that name."""
    if not cluster:
        return
    try:
        known = ask(CLUSTERS, "").split()
    except WorkError:
        return
    if cluster not in known:
        refuse_unknown(cluster, known, "cluster")


def _group(line: str) -> NodeGroup:
    """One line of :data:`SINFO`."""
    name, limit, cpus, memory, gres, features, count = line.split("|")
    gpus = [int(number) for number in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", gres)]
    return NodeGroup(
        partition=name.rstrip("*"),
        is_default=name.endswith("*"),
        minutes=slurm_minutes(limit),
        cpus=int(cpus.rstrip("+")),
        memory_mb=int(memory.rstrip("+")),
        gpus=sum(gpus),
        features=() if features == "(null)" else tuple(features.split(",")),
        count=int(count),
        gpu_types=tuple(re.findall(r"\bgpu:([^:,()]+):\d+", gres)),
    )


def slurm_minutes(text: str) -> float | None:
    """Minutes of SLURM's ``days-hours:minutes:seconds``; None for no limit.

    Examples
    --------
    >>> slurm_minutes("1-02:00:00"), slurm_minutes("30:00"), slurm_minutes("infinite")
    (1560.0, 30.0, None)
    """
    if text.lower() in ("infinite", "unlimited", "n/a", "partition_limit", "not_set"):
        return None
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, minutes, seconds = (*[0] * (3 - len(parts)), *parts)
    return 1440.0 * int(days or 0) + 60.0 * hours + minutes + seconds / 60
