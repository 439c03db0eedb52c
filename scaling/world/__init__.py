"""The world that code which must survive faults lives in: the real one, or a simulated one.

Leases, workers, the foreman, the shipper and journals take clock, files, processes and signals
from here, by the standard library's names::

    from scaling.world import os, path_at, time

Each name stands for the module of the world in which it is asked. That is the real module, unless
the caller is within another :class:`World` (:func:`within`), as the simulator's processes are: it
runs the very same code and decides what the time is, when a write fails and who is killed.

Paths need no stand-in: what is below a root is an object of the root's own class.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = [
    "MODULES",
    "REAL",
    "World",
    "os",
    "path_at",
    "platform",
    "secrets",
    "signal",
    "subprocess",
    "threading",
    "time",
    "within",
]

MODULES = ("os", "platform", "secrets", "signal", "subprocess", "threading", "time")


@dataclass(frozen=True)
class World:
    """What stands for the modules of the standard library that touch the world.

    Attributes
    ----------
    os, platform, secrets, signal, subprocess, threading, time
        Modules, or objects with as many of their functions as are called.
    path : type
        The class of absolute paths.
    """

    os: Any
    platform: Any
    secrets: Any
    signal: Any
    subprocess: Any
    threading: Any
    time: Any
    path: Callable[[str | PathLike[str]], Path] = Path


_MODULES: list[Any] = [importlib.import_module(name) for name in MODULES]
REAL = World(*_MODULES)
_world: ContextVar[World] = ContextVar("world", default=REAL)


@contextlib.contextmanager
def within(world: World) -> Iterator[None]:
    """Be in another world; threads that are started meanwhile are not."""
    token = _world.set(world)
    try:
        yield
    finally:
        _world.reset(token)


def path_at(text: str | PathLike[str]) -> Path:
    """A path of this world; one that is a path already stays as it is."""
    return text if isinstance(text, Path) else _world.get().path(text)


class _Module:
    """A module of whatever world it is asked in."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_world.get(), self._name), name)


if TYPE_CHECKING:
    import os as os
    import platform as platform
    import secrets as secrets
    import signal as signal
    import subprocess as subprocess
    import threading as threading
    import time as time
else:
    os, platform, secrets, signal, subprocess, threading, time = map(_Module, MODULES)
