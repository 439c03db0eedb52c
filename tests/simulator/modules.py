"""The world's modules as a simulated process sees them: ``os``, ``time``, ``subprocess``, ..."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from scaling.world import World
from tests.simulator.disk import Disk
from tests.simulator.files import SimPath
from tests.simulator.kernel import EPOCH, Exited, Fiber, Kernel, Process

Command = Callable[[list[str], Mapping[str, str]], Any]
CONSTANTS = ("O_", "SEEK_", "strerror", "pathsep", "sep", "fspath")


class Os:
    def __init__(self, kernel: Kernel, disk: Callable[[], Disk]) -> None:
        self._kernel, self._disk = kernel, disk

    def __getattr__(self, name: str) -> Any:
        if name.startswith(CONSTANTS):
            return getattr(os, name)
        raise AttributeError(f"os.{name} is not simulated")

    @property
    def environ(self) -> dict[str, str]:
        return here(self._kernel).environ

    def getpid(self) -> int:
        return here(self._kernel).pid

    def open(self, path: Any, flags: int, mode: int = 0) -> int:
        return self._disk().opened(str(path), flags)

    def close(self, file: int) -> None:
        self._disk().files.pop(file, None)

    def write(self, file: int, data: bytes) -> int:
        return self._disk().write(file, data)

    def pread(self, file: int, size: int, offset: int) -> bytes:
        self._disk().ask()
        return bytes(self._disk().files[file].inode.data[offset : offset + size])

    def fsync(self, file: int) -> None:
        self._disk().ask()

    def fstat(self, file: int) -> Any:
        return self._disk().stat_open(file)

    def utime(self, path: Any) -> None:
        self._disk().touch(str(path))

    def link(self, path: Any, other: Any) -> None:
        self._disk().link(str(path), str(other))

    def _exit(self, code: int) -> None:
        raise Exited(code)

    def killpg(self, pid: int, number: int) -> None:
        pass  # only of commands that do not answer


class Time:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def time(self) -> float:
        return EPOCH + self._kernel.now + here(self._kernel).node.skew

    def monotonic(self) -> float:
        return 1000.0 + self._kernel.now - here(self._kernel).node.slept

    def process_time(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self._kernel.sleep(seconds)

    def localtime(self, seconds: float) -> time.struct_time:
        return time.gmtime(seconds)

    def strftime(self, form: str, moment: time.struct_time | None = None) -> str:
        return time.strftime(form, moment or time.gmtime(self.time()))


class Event:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._set, self._waiting = kernel, False, list[Fiber]()

    def set(self) -> None:
        self._set = True
        for fiber in self._waiting:
            self._kernel.wake(fiber)
        self._waiting.clear()

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        fiber = self._kernel.current
        assert fiber is not None
        self._kernel.op()
        if not self._set:
            self._waiting.append(fiber)
            self._kernel.wait(fiber, self._kernel.now + timeout)
            if fiber in self._waiting:
                self._waiting.remove(fiber)
        return self._set


class Thread:
    def __init__(
        self, kernel: Kernel, target: Callable[..., Any], args: tuple[Any, ...] = (), **_: Any
    ) -> None:
        self._kernel, self._call = kernel, lambda: target(*args)

    def start(self) -> None:
        self._fiber = self._kernel.spawn(self._kernel.op(), self._call)

    def join(self) -> None:
        me = self._kernel.current
        assert me is not None
        self._kernel.op()
        while not self._fiber.done:
            self._fiber.waiters.append(me)
            self._kernel.wait(me, None)


class Signals:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def signal(self, number: int, handler: Any) -> Any:
        handlers = here(self._kernel).handlers
        before = handlers.get(number, signal.SIG_DFL)
        handlers[number] = handler
        return before


class Popen:
    """A process that another one started."""

    def __init__(self, kernel: Kernel, process: Process, gone: list[bool]) -> None:
        self._kernel, self._process, self.pid = kernel, process, process.pid
        self.stdin = SimpleNamespace(close=lambda: gone.append(True))
        self.stdout = Lines([json.dumps({"memory": {"rss": 100.0}})])

    @property
    def returncode(self) -> int | None:
        return self._process.status

    def poll(self) -> int | None:
        self._kernel.op()
        return self._process.status

    def wait(self, timeout: float | None = None) -> int:
        until = self._kernel.now + (1e9 if timeout is None else timeout)
        while self._process.status is None:
            if self._kernel.now > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            self._kernel.sleep(1.0)
        return self._process.status

    def terminate(self) -> None:
        self._kernel.op()
        self._kernel.signal(self._process, signal.SIGTERM)

    def kill(self) -> None:
        self._kernel.op()
        self._kernel.kill(self._process)


class Lines(list[str]):
    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def here(kernel: Kernel) -> Process:
    assert kernel.current is not None
    return kernel.current.process


def make_world(kernel: Kernel, disk: Callable[[], Disk], command: Command) -> World:
    """The world of a simulation; ``command`` is what starts a program."""

    def popen(arguments: list[str], **options: Any) -> Any:
        kernel.op()
        return command(list(arguments), options.get("env") or {})

    main, paths = object(), dict[str, SimPath]()

    def path(text: Any) -> SimPath:
        if text not in paths:
            paths[text] = SimPath(text)
        return paths[text]

    return World(
        os=Os(kernel, disk),
        platform=SimpleNamespace(node=lambda: here(kernel).node.name),
        secrets=SimpleNamespace(token_hex=lambda n: kernel.random.randbytes(n).hex()),
        signal=Signals(kernel),
        subprocess=SimpleNamespace(
            Popen=popen,
            PIPE=subprocess.PIPE,
            DEVNULL=subprocess.DEVNULL,
            STDOUT=subprocess.STDOUT,
            TimeoutExpired=subprocess.TimeoutExpired,
        ),
        threading=SimpleNamespace(
            Thread=lambda **o: Thread(kernel, **o),
            Event=lambda: Event(kernel),
            current_thread=lambda: main,
            main_thread=lambda: main,
        ),
        time=Time(kernel),
        path=path,
    )
