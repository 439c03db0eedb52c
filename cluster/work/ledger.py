"""What processes held, and for whom: a ledger, from which caps are kept and usage is told.

Each worker, on SLURM each job, keeps one small file, ``usage/<who>.json`` of its sweep's folder,
and rewrites it every half minute: no file has two writers, and what a kill costs is the last half
minute. Hours are those that GPUs and cores were held, whatever was done with them.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

import yaml

from cluster.work.submission import Queue
from scaling.base import Store, note_once, read_json, write_atomic
from scaling.run import node_name, slurm_job
from scaling.world import os, secrets, time
from sweeps import Cap, Policy, Resources

LOOK_SECONDS = 30.0  # between two entries, and two looks at what all have used
FOLDER = "usage"  # of a sweep
CAPS_FILE = "caps.yaml"  # of the root: caps by user
ALL = "*"  # in it: each user that it does not name


@dataclass(frozen=True)
class Entry:
    """What one process has held for a sweep.

    Attributes
    ----------
    user, host, job : str
        Whose it is, where, and its SLURM job, if any.
    gpu_seconds, cpu_seconds : float
        Seconds times GPUs, and times cores.
    closed : bool
        Whether the process has ended by itself, so that the entry stays as it is.
    """

    user: str
    host: str
    job: str = ""
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    closed: bool = False


@dataclass
class Account:
    """The entry of this process, kept up to date as long as somebody asks whether all is used.

    Attributes
    ----------
    gpus, cpus : float
        What is held; without ``gpus`` a worker's part of those that torch sees, one at most,
        unless the device is the CPU.
    policy : Policy
        Of the submission.
    is_over : bool
        Whether a cap was reached, at the last look.
    """

    store: Store
    queue: Queue
    policy: Policy
    gpus: float
    cpus: float
    device: str = "cpu"
    is_over: bool = False
    _entry: Entry = field(init=False)
    _path: Path = field(init=False)
    _at: float = field(init=False)
    _looked: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._entry = Entry(user_name(), node_name(), slurm_job())
        folder = self.queue.path.parents[1] / FOLDER
        self._path = folder / f"{node_name()}-{os.getpid()}-{secrets.token_hex(3)}.json"
        self._at = time.monotonic()

    @classmethod
    def of(cls, store: Store, queue: Queue, resources: Resources) -> Account:
        """The account of one worker among others on a machine."""
        policy = Policy.parse(queue.policy)
        gpus = min(1, resources.gpus)
        return cls(store, queue, policy, gpus, resources.threads, resources.device)

    @classmethod
    def of_job(cls, store: Store, queue: Queue, resources: Resources) -> Account:
        """The account of a SLURM job with all that it has."""
        policy, nodes = Policy.parse(queue.policy), resources.nodes
        cpus = resources.cpus_per_task * resources.processes
        return cls(store, queue, policy, resources.gpus * nodes, cpus)

    def over(self) -> bool:
        """Whether a cap is reached; the queue is stopped then. Cheap: it looks now and then."""
        if not self.is_over and time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._write()
            if why := cap_reached(self.store, self.queue.path.parents[1].name, self.policy):
                note_once(why)
                self.is_over = True
                with contextlib.suppress(OSError):
                    self.queue.stop()
        return self.is_over

    def __enter__(self) -> Account:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write(closed=True)

    def _write(self, *, closed: bool = False) -> None:
        now = time.monotonic()
        seconds, self._at = now - self._at, now
        gpus = self.gpus
        if not gpus and self.device != "cpu":  # several workers may share what there is
            gpus = min(1.0, _gpus_seen() / max(1, self.queue.workers))
        before = self._entry
        self._entry = Entry(
            before.user,
            before.host,
            before.job,
            before.gpu_seconds + gpus * seconds,
            before.cpu_seconds + self.cpus * seconds,
            closed,
        )
        with contextlib.suppress(OSError):  # it is said with the next look
            write_atomic(self._path, json.dumps(asdict(self._entry)))


def user_name() -> str:
    """Who this process is of; a number where the system has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _gpus_seen() -> int:
    """GPUs that torch sees, where it is loaded already."""
    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.cuda.device_count())


_CLOSED: dict[str, Entry] = {}


def entries(store: Store, sweep: str = "") -> Iterator[tuple[str, Entry]]:
    """Entries with their sweeps, of one sweep or of all in the store; closed ones are read once."""
    folders = [store.sweep_dir(sweep)] if sweep else (store.root / "sweeps").glob("*/")
    for folder in folders:
        for path in (folder / FOLDER).glob("[!.]*.json"):
            entry = _CLOSED.get(str(path))
            if entry is None:
                value = read_json(path)
                if value is None:
                    continue
                entry = Entry(**value)
                if entry.closed:
                    _CLOSED[str(path)] = entry
            yield folder.name, entry


def cap_reached(store: Store, sweep: str, policy: Cap, user: str = "") -> str:
    """Which cap is reached, with the numbers and what goes on from there; empty for none."""
    name = shlex.quote(sweep)
    for key, (used, limit) in _reached(used_of_caps(store, sweep, policy)):
        return (
            f"sweep {sweep!r} has used {used:.4g} of {key} {limit:g}: nothing new starts, and what "
            f"ran is checkpointed; `scaling retry {name} --set {key}={2 * limit:g}` goes on"
        )
    user = user or user_name()
    cap = _cap_of(store, user)
    for key, (used, limit) in _reached(cap.used(*_hours(store, "", user)) if cap else {}):
        return (
            f"{user} has used {used:.4g} of {key} {limit:g} in {store.root}: nothing new starts, "
            f"and what ran is checkpointed; raise it in {store.root / CAPS_FILE}, then `scaling "
            f"retry {name}` goes on"
        )
    return ""


def used_of_caps(store: Store, sweep: str, policy: Cap) -> dict[str, tuple[float, float]]:
    """By cap of a sweep, what was used of it and what may be; empty without any."""
    return policy.used(*_hours(store, sweep)) if policy else {}


def _reached(caps: dict[str, tuple[float, float]]) -> list[tuple[str, tuple[float, float]]]:
    return [(key, (used, limit)) for key, (used, limit) in caps.items() if used >= limit]


def caps_of(store: Store) -> dict[str, Cap]:
    """The caps in the root's ``caps.yaml``, by user; none where there is no such file.

    Raises
    ------
    ValueError
        If it is damaged, or a cap in it is no cap.
    """
    path = store.root / CAPS_FILE
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"{path} is no YAML: write it as ann: {{max_gpu_hours: 100}}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path} must be a mapping, as ann: {{max_gpu_hours: 100}}")
    try:
        return {str(user): Cap.parse(cap) for user, cap in told.items()}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _cap_of(store: Store, user: str) -> Cap:
    try:
        caps = caps_of(store)
    except ValueError as error:  # somebody writes it at this moment; a submission refuses it
        note_once(f"warning: {error}")
        return Cap()
    return caps.get(user) or caps.get(ALL) or Cap()


def _hours(store: Store, sweep: str, user: str = "") -> tuple[float, float]:
    """GPU-hours and core-hours of a sweep, or of a user in all."""
    found = [entry for _, entry in entries(store, sweep) if user in ("", entry.user)]
    gpus, cpus = sum(e.gpu_seconds for e in found), sum(e.cpu_seconds for e in found)
    return gpus / 3600, cpus / 3600
