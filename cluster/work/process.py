"""Which process did something, and whether it is still there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from scaling.run import node_name
from scaling.world import os, path_at, subprocess


@dataclass(frozen=True)
class ProcessId:
    """A process, told apart from later ones with the same number by when it ``started``.

    Attributes
    ----------
    host : str
        The node's name.
    space : str
        Boot and process-number space: containers on one machine may share its name.
    pid : int
    started : str
        The kernel's start time; empty when the process was gone already.
    """

    host: str
    space: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessId:
        """The identity of a process of this machine, by default of this one."""
        pid = os.getpid() if pid is None else pid
        return cls(node_name(), _space(), pid, _started(pid))

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ProcessId:
        """What :meth:`to_dict` gave."""
        return cls(*(value[k] for k in ("host", "space", "pid", "started")))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def is_local(self) -> bool:
        """Whether it is of this machine, so that :attr:`is_alive` can be known."""
        return (self.host, self.space) == (node_name(), _space())

    @property
    def may_run(self) -> bool:
        """Whether it runs, for all that can be known here: not if this machine started since."""
        if self.is_local:
            return self.is_alive
        return self.host != node_name() or self.space.split()[:1] == _space().split()[:1]

    @property
    def is_alive(self) -> bool:
        """Whether a local process still runs; a zombie does not."""
        return self.started != "" and _started(self.pid) == self.started


def _space() -> str:
    try:
        boot = path_at("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {path_at('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started; empty if there is none, or only a zombie of it."""
    if path_at("/proc/self/stat").exists():
        try:
            # The command's name is in parentheses and may hold anything, so split after it.
            fields = path_at(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return "" if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()
