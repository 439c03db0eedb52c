"""What a worker may use, and which runs get what: the ``resources`` of a sweep file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from scaling.base import convert, has_bfloat16, refuse_unknown, typed
from scaling.base import parse_settings as pairs

SHORTEST_MINUTES = 2.0
SHARDS = ("auto", "ddp", "fsdp")
STAGES = ("local",)
COMPILE = ("auto", "always", "blocks", "never")
STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP")
DEVICES = r"auto|cpu|cuda(:\d+)?|mps"
OWNED = {
    "time": "minutes",
    "nodes": "nodes",
    "ntasks": "nodes and tasks_per_node",
    "ntasks-per-node": "tasks_per_node",
    "cpus-per-task": "cpus",
    "gpus": "gpus",
    "gpus-per-node": "gpus",
    "gpus-per-task": "gpus",
    "mem": "memory",
    "mem-per-cpu": "memory",
    "mem-per-gpu": "memory",
    "partition": "partition",
    "clusters": "cluster",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "array": "workers, alone and side_by_side",
    "signal": "margin_seconds",
    **dict.fromkeys(
        ("requeue", "no-requeue", "output", "error", "open-mode", "kill-on-invalid-dep", "wrap"),
        "",
    ),
    **dict.fromkeys(("parsable", "test-only", "wait"), ""),
}
"""Options of ``sbatch`` that jobs need to have as they are -> the setting that they follow."""
_MEGABYTES = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


@dataclass(frozen=True)
class Resources:
    """What one worker may use; only the first seven matter outside SLURM.

    Attributes
    ----------
    threads : int
        CPU threads of a run; its result is the same bits for the same number.
    device : str
        ``auto`` is CUDA where there is one, else the CPU.
    checkpoint_seconds : float
        Least time between checkpoints of a run.
    minutes : float or None
        Time after which a worker checkpoints and ends; on SLURM the job's limit, after which it
        goes on in the queue again. None for no limit, on SLURM for the partition's.
    micro_batch : int
        Sequences (examples) of a forward pass; 0 for the whole batch, on CUDA for what fits.
    shard : {"auto", "ddp", "fsdp"}
        How a run spans processes.
    compile : {"auto", "always", "blocks", "never"}
        Whether its model is compiled, as a whole or block by block; ``auto``: on CUDA, where a run
        takes minutes. There a shorter run is replayed as CUDA graphs, but with ``never``.
    ensemble : int
        Runs of one shape that a worker trains as one batched computation, at most; 0 for each by
        itself.
    partition, account, qos, constraint : str
        As ``sbatch`` has them; empty for the site's default. Of several partitions (``a,b``, or a
        list) SLURM takes where a job begins first.
    cluster : str
        The cluster of a site with several, as ``--clusters`` has it; empty for the one that SLURM's
        commands ask by themselves.
    fallback : tuple of dict
        Settings to try, one after the other, where the site cannot give the others.
    nodes, tasks_per_node : int
        Processes of a run; with more than one it has a job of its own.
    gpus, memory : int, str
        Of a node; ``memory`` as ``32GB`` or ``800MB``.
    gpu_type : str
        Which GPUs, as the site calls them; ``gpus: a100:1`` gives both.
    cpus : int
        Of a task; 0 for ``threads`` x ``side_by_side``.
    workers : int
        Jobs at a time; 0 for ``--workers``, and for no limit of jobs that have one run each.
    side_by_side : int
        Runs at a time in one job; 0 for as many as its CPUs, and its memory as measured on the
        first run, allow.
    alone : bool
        Whether each run gets a job of its own, which starts once, with its own place in the queue.
    setup : tuple of str
        Shell lines before the worker: modules, environment.
    python : str
        Shell command that starts Python, such as a container's prologue; empty for this one.
    sbatch : dict
        Further options of ``sbatch``, ``true`` for those without a value.
    margin_seconds : float
        What a worker leaves of ``minutes`` for its last checkpoint; 0 for a tenth of it, in
        [20, 120].
    stop_signal, stop_seconds : str, float
        For programs: the signal that asks one to checkpoint and end, and the time that it has to
        do so before it is killed.
    silent_minutes : float
        Without a step for so long, and for twenty times its longest pause between two, a run is
        stalled and its worker killed (SLURM); a program without a report or a line of output.
    monitor_seconds : float
        Seconds between samples of what the machine's CPUs, memory and GPUs do, which go into the
        journals of the runs that train meanwhile; at least 1, 0 for none.
    stage : {"", "local"}
        ``local``: data sets are copied to the node's own disk and read there.
    code : str
        For programs: where their code lay when the sweep was expanded.
    """

    threads: int = 1
    device: str = "auto"
    checkpoint_seconds: float = 60.0
    minutes: float | None = None
    micro_batch: int = 0
    shard: str = "auto"
    compile: str = "auto"
    ensemble: int = 0
    partition: str = ""
    cluster: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    nodes: int = 1
    tasks_per_node: int = 1
    gpus: int = 0
    gpu_type: str = ""
    memory: str = ""
    cpus: int = 0
    workers: int = 0
    side_by_side: int = 0
    alone: bool = False
    setup: tuple[str, ...] = ()
    python: str = ""
    sbatch: Mapping[str, Any] = field(default_factory=dict)
    margin_seconds: float = 0.0
    stop_signal: str = "SIGTERM"
    stop_seconds: float = 60.0
    silent_minutes: float = 30.0
    monitor_seconds: float = 0.0
    stage: str = ""
    code: str = ""
    fallback: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("threads", "nodes", "tasks_per_node"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is below 1")
        counts = ("gpus", "cpus", "workers", "side_by_side", "micro_batch", "ensemble")
        for name in (*counts, "margin_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} is below 0")
        for name in ("stop_seconds", "silent_minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0")
        if not (self.monitor_seconds == 0 or self.monitor_seconds >= 1):
            raise ValueError(f"monitor_seconds {self.monitor_seconds} is not at least 1, or 0")
        if self.stop_signal not in STOP_SIGNALS:
            refuse_unknown(self.stop_signal, STOP_SIGNALS, "stop_signal")
        if self.stage and self.stage not in STAGES:
            refuse_unknown(self.stage, STAGES, "stage")
        if self.cluster and not re.fullmatch(r"[\w-]+", self.cluster):
            raise ValueError(
                f"cluster {self.cluster!r} is not the name of one: jobs go to one cluster; give "
                "others as fallback: [{cluster: NAME}]"
            )
        if self.gpu_type and not self.gpus:
            raise ValueError(
                f"gpu_type {self.gpu_type!r} without gpus: write gpus: {self.gpu_type}:1"
            )
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes {self.minutes} is not above 0: leave it out for no limit")
        if not re.fullmatch(DEVICES, self.device):
            raise ValueError(f"device {self.device!r} is none of auto, cpu, cuda, cuda:N, mps")
        if self.shard not in SHARDS:
            refuse_unknown(self.shard, SHARDS, "shard")
        if self.compile not in COMPILE:
            refuse_unknown(self.compile, COMPILE, "compile")
        if self.memory and not megabytes(self.memory):
            raise ValueError(f"memory {self.memory!r} is no amount: write it as 32GB or 800MB")
        if self.ensemble > 1 and self.processes > 1:
            raise ValueError(
                f"ensemble {self.ensemble} with {self.processes} processes a run: the runs of an "
                "ensemble share one process; leave out either"
            )
        if self.processes > 1 and self.side_by_side > 1:
            raise ValueError(
                f"side_by_side {self.side_by_side} with {self.processes} processes a run: a run "
                "that spans processes has its job alone; leave side_by_side out"
            )

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partitions that are asked for; one empty name for the site's default."""
        return tuple(self.partition.split(","))

    def fall_back(self) -> list[Resources]:
        """What to try in turn where the site cannot give these: each ``fallback`` on top."""
        mine = {name: value for name, value in self.to_dict().items() if name != "fallback"}
        found = []
        for changes in self.fallback:
            kept = {k: v for k, v in mine.items() if k != "gpu_type" or "gpus" not in changes}
            found.append(Resources.from_dict({**kept, **changes}))
        return found

    @property
    def processes(self) -> int:
        """Processes of one run."""
        return self.nodes * self.tasks_per_node

    @property
    def is_alone(self) -> bool:
        """Whether each run has a job of its own."""
        return self.alone or self.processes > 1

    @property
    def cpus_per_task(self) -> int:
        """CPUs of a task."""
        return self.cpus or self.threads * max(1, self.side_by_side)

    @property
    def most_side_by_side(self) -> int:
        """Runs at a time that the CPUs allow."""
        return self.side_by_side or max(1, self.cpus_per_task // self.threads)

    @property
    def memory_mb(self) -> float:
        """Memory of a node in MB (2^20 bytes); 0 where not given."""
        return megabytes(self.memory)

    @property
    def margin(self) -> float:
        """Seconds before its limit at which a worker stops."""
        limit = 60 * (self.minutes or 0.0)
        return self.margin_seconds or min(120.0, max(20.0, limit / 10))

    def to_dict(self) -> dict[str, Any]:
        """The settings that are not the default's, as plain values."""
        values = {name: v for name, v in vars(self).items() if v != getattr(_DEFAULT, name)}
        plain: dict[str, Any] = json.loads(json.dumps(values, default=dict))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Resources:
        """The resources that :meth:`to_dict`, a sweep file or a command line describes.

        Raises
        ------
        ValueError
            For an unknown name or a value out of range.
        """
        return typed(cls, _checked(values))


_DEFAULT = Resources()


@dataclass(frozen=True)
class ResourceRules:
    """Resources by the size of a run's model.

    Attributes
    ----------
    base : dict
        Settings of every run.
    rules : tuple of (num_params, dict)
        Settings from that size on, ascending; the larger come later and win.
    """

    base: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[tuple[float, Mapping[str, Any]], ...] = ()

    @property
    def in_bfloat16(self) -> bool:
        """Whether a run that does not say its precision has bfloat16: on GPUs that all have it.

        Not beside ensembles, which are of runs in float32.
        """
        asked = [self.of(size) for size in (0.0, *(size for size, _ in self.rules))]
        asked = [one for one in asked if one.device != "cpu"]
        on_gpus = any(one.gpus or one.device.startswith("cuda") for one in asked)
        every = [other for one in asked for other in (one, *one.fall_back())]
        suits = all(has_bfloat16(one.gpu_type) and one.ensemble < 2 for one in every)
        return on_gpus and suits

    @classmethod
    def parse(
        cls, value: Mapping[str, Any], settings: Mapping[str, Any] | None = None
    ) -> ResourceRules:
        """The rules in a sweep's ``resources``; ``settings`` win over all of them.

        Raises
        ------
        ValueError
            For an unknown name, a rule without ``from_params`` or a value out of range.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"resources must be a mapping (key: value), not {value!r}")
        base = {name: v for name, v in value.items() if name != "rules"}
        found = []
        listed = value.get("rules", ())
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise ValueError("resources: rules must be a list of mappings with from_params")
        for i, rule in enumerate(listed, start=1):
            if not isinstance(rule, Mapping) or "from_params" not in rule:
                raise ValueError(f"resources: rule {i} has no from_params: from which size on?")
            rest = {name: v for name, v in rule.items() if name != "from_params"}
            size = convert("float", "from_params", rule["from_params"])
            found.append((size, {**rest, **(settings or {})}))
        rules = cls({**base, **(settings or {})}, tuple(sorted(found, key=lambda rule: rule[0])))
        for size in (0.0, *(size for size, _ in rules.rules)):
            rules.of(size)
        return rules

    def of(self, num_params: float) -> Resources:
        """What a run with so many parameters may use.

        Raises
        ------
        ValueError
            If the settings do not go together.
        """
        merged = dict(self.base)
        for size, rule in self.rules:
            if num_params >= size:
                merged.update(rule)
        try:
            return Resources.from_dict(merged)
        except ValueError as error:
            raise ValueError(f"resources: {error}") from None


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Settings from a command line's ``KEY=VALUE``; a value that is no YAML is text.

    Raises
    ------
    ValueError
        For a word without a key and ``=``.
    """
    refused = "setting {!r} has no value: write it as KEY=VALUE"
    return pairs(words, refused=refused, text=True)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, lists as tuples; values that ``typed`` leaves as they are, checked."""
    names = {f.name for f in fields(Resources)}
    checked = dict(values)
    for name in values:
        if name not in names:
            refuse_unknown(str(name), (*names, "rules"), "setting")
    if checked.get("minutes") is not None:
        checked["minutes"] = convert("float", "minutes", checked["minutes"])
    if checked.get("workers") == 0:
        raise ValueError("workers 0 is below 1: leave it out for --workers")
    if "setup" in checked:
        lines = checked["setup"]
        lines = [lines] if isinstance(lines, str) else lines
        if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
            raise ValueError("setup must be a list of shell lines")
        checked["setup"] = tuple(lines)
    if isinstance(names_ := checked.get("cluster"), list | tuple):
        checked["cluster"] = ",".join(map(str, names_))
    if isinstance(names_ := checked.get("partition"), list | tuple):
        checked["partition"] = ",".join(map(str, names_))
    if isinstance(checked.get("partition"), str):
        named = [name.strip() for name in checked["partition"].split(",")]
        if len(named) > 1 and not all(named):
            raise ValueError(f"partition {checked['partition']!r} has an empty name: write a,b")
        checked["partition"] = ",".join(named)
    if isinstance(gpus := checked.get("gpus"), str) and ":" in gpus:
        kind, _, count = gpus.rpartition(":")
        if not kind or not count.isdecimal():
            raise ValueError(f"gpus {gpus!r} is no TYPE:COUNT: write it as a100:1, or a number")
        checked |= {"gpus": int(count), "gpu_type": kind}
    if "fallback" in checked:
        checked["fallback"] = _fallback(checked)
    if "sbatch" in checked:
        checked["sbatch"] = _sbatch(checked["sbatch"])
    return checked


def _fallback(settings: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    listed = settings["fallback"]
    if not isinstance(listed, list | tuple) or not all(isinstance(one, Mapping) for one in listed):
        raise ValueError("fallback must be a list of settings, as [{partition: b, gpus: v100:1}]")
    for one in listed:
        if "fallback" in one:
            raise ValueError("fallback: one of its settings has a fallback itself: list all in one")
        _checked(one)
    return tuple(dict(one) for one in listed)


def _sbatch(options: Any) -> dict[str, Any]:
    """Further options of ``sbatch``, as it writes them; those that are not free are refused."""
    if not isinstance(options, Mapping):
        raise ValueError("sbatch must be a mapping of sbatch's options, as exclusive: true")
    found = {}
    for key, value in options.items():
        name = str(key).lstrip("-").replace("_", "-")
        # sbatch takes the beginning of an option for it.
        owned = next((owned for owned in sorted(OWNED) if owned.startswith(name)), "")
        if name == "gres" and str(value).startswith("gpu"):
            owned = "gpus"
        if owned:
            instead = OWNED[owned]
            raise ValueError(
                f"sbatch: {key}: jobs get their {owned} from "
                + (f"the setting {instead}: give that instead" if instead else "us: leave it out")
            )
        found[name] = value
    return found


def megabytes(text: str) -> float:
    """MB in an amount such as ``32GB``; 0 if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B?", text.strip(), re.IGNORECASE)
    return float(match[1]) * _MEGABYTES[match[2].upper()] if match else 0.0
