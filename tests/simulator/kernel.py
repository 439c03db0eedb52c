"""Simulated processes on simulated nodes: one real process, no sleeping, all from one seed.

A process is some fibers (greenlets: the main one, and its threads) that run production code. Each
call into the world (:meth:`Kernel.op`) takes simulated time and may be where another process goes
on, or where a fault strikes; a sleep is nothing but a later turn. So an hour passes in
milliseconds, and the same seed gives the same hour again.
"""

from __future__ import annotations

import contextvars
import heapq
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from greenlet import getcurrent, greenlet

from scaling.base import WorkError
from scaling.world import World, within

EPOCH = 1_700_000_000.0  # the true time at the beginning
OP_SECONDS = 0.004  # that a call into the world takes at most, unless a fault strikes
ALLOWED = (OSError, WorkError)  # what a process may die of without this being a mistake of ours


class Killed(BaseException):
    """The process is no more; nothing of what its code still does on the way out takes effect."""


class Exited(BaseException):
    """``os._exit``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Violation(Exception):
    """Something that must never happen, whatever strikes."""


@dataclass
class Node:
    """A machine.

    Attributes
    ----------
    skew : float
        How far its clock is ahead, in seconds; it jumps.
    slept : float
        Seconds that its monotonic clock stood still.
    cached : float
        How long its file system's client believes what it has seen.
    suspended : float
        Until when it stands still: what is started there meanwhile begins then.
    denied : tuple
        Until when all file operations fail, and how.
    least : float
        No sleep is shorter here, in seconds: it has other things to do.
    """

    name: str
    skew: float = 0.0
    slept: float = 0.0
    cached: float = 0.0
    least: float = 1.0
    suspended: float = 0.0
    denied: tuple[float, int] = (0.0, 0)
    oom_kills: int = 0
    pids: int = 10
    boot: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)


class Fiber:
    """A thread of a process."""

    __slots__ = ("done", "greenlet", "process", "turn", "waiters")

    def __init__(self, process: Process, target: Callable[[], Any], kernel: Kernel) -> None:
        self.process, self.done, self.turn = process, False, 0
        self.waiters: list[Fiber] = []
        # When it ends, time goes on: not whoever began it.
        self.greenlet = greenlet(partial(kernel.live, self, target), parent=kernel.hub)
        with within(kernel.world):
            self.greenlet.gr_context = contextvars.copy_context()


class Process:
    """A process: killed, frozen, signalled; its exit status as ``Popen.poll`` tells it."""

    def __init__(self, node: Node, environ: dict[str, str], kind: str) -> None:
        node.pids += 1
        self.node, self.environ, self.kind, self.pid = node, environ, kind, node.pids
        self.fibers: list[Fiber] = []
        self.status: int | None = None
        self.frozen = 0.0
        self.awake_since = 0.0
        self.armed: list[list[Any]] = []  # [calls left, what then]
        self.handlers: dict[int, Any] = {}
        self.when_over: list[Callable[[], None]] = []
        self.started = ""

    @property
    def dead(self) -> bool:
        return self.status is not None

    def __str__(self) -> str:
        return f"{self.kind} {self.pid}@{self.node.name}"


class Kernel:
    """Time, nodes and processes, and what is to happen when."""

    def __init__(self, seed: int, world: Callable[[Kernel], World]) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.heap: list[tuple[float, int, Any, int]] = []
        self.count = 0
        self.current: Fiber | None = None
        self.processes: list[Process] = []
        self.dying: list[Fiber] = []
        self.struck: Counter[str] = Counter()
        self.log: list[str] = []
        self.violations: list[str] = []
        self.world = world(self)
        self.hub = getcurrent()
        self.fraction = self.random.random

    # --- time -------------------------------------------------------------------------------

    def at(self, when: float, what: Fiber | Callable[[], None], turn: int = 0) -> None:
        """Go on with a fiber, or call something, at a time."""
        self.count += 1
        heapq.heappush(self.heap, (when, self.count, what, turn))

    def run(self, until: float, over: Callable[[], bool]) -> None:
        """Let time pass until then, or until ``over``."""
        self.hub = getcurrent()
        with within(self.world):
            while self.heap and not over():
                when, _, what, turn = heapq.heappop(self.heap)
                if when > until:
                    return
                self.now = max(self.now, when)
                if isinstance(what, Fiber):
                    self._go_on(what, turn)
                else:
                    what()
                self._bury()

    def _go_on(self, fiber: Fiber, turn: int) -> None:
        if fiber.done or turn != fiber.turn:
            return
        process = fiber.process
        if process.frozen > self.now:
            self.at(process.frozen, fiber, turn)
            return
        self.current = fiber
        fiber.greenlet.switch()

    def end_all(self) -> None:
        """Kill whatever still is."""
        with within(self.world):
            for process in list(self.processes):
                self.kill(process)
            self._bury()

    def _bury(self) -> None:
        """Let the code of killed processes find out."""
        while self.dying:
            fiber = self.dying.pop()
            if fiber.greenlet:
                self.current = fiber
                fiber.greenlet.throw(Killed())
            fiber.done = True

    # --- what a fiber asks ------------------------------------------------------------------

    def op(self) -> Process:
        """One call into the world by the fiber that runs; its process."""
        fiber = self.current
        assert fiber is not None
        process = fiber.process
        if process.status is not None:
            raise Killed
        self.now += OP_SECONDS * self.fraction()
        if process.armed:
            self._strike(process)
        if process.frozen > self.now or (self.heap and self.heap[0][0] < self.now):
            self.wait(fiber, self.now)
        return process

    def wait(self, fiber: Fiber, until: float | None) -> None:
        """Let others go on; until a time, or, for None, until it is woken."""
        fiber.turn += 1
        if until is not None:
            self.at(until, fiber, fiber.turn)
        self.hub.switch()
        self.current = fiber
        if fiber.process.status is not None:
            raise Killed

    def wake(self, fiber: Fiber) -> None:
        """Let a fiber that waits go on now."""
        if not fiber.done:
            self.at(self.now, fiber, fiber.turn)

    def sleep(self, seconds: float) -> None:
        fiber = self.current
        assert fiber is not None
        self.op()
        least = fiber.process.node.least
        self.wait(fiber, self.now + max(seconds, least) * (1 + 0.05 * self.fraction()))

    def _strike(self, process: Process) -> None:
        for one in list(process.armed):
            one[0] -= 1
            if one[0] <= 0:
                process.armed.remove(one)
                one[1](process)

    # --- processes --------------------------------------------------------------------------

    def start(
        self, node: Node, target: Callable[[], Any], environ: dict[str, str], kind: str
    ) -> Process:
        process = Process(node, environ, kind)
        process.started = str(int(100 * self.now) + 1)
        process.frozen = process.awake_since = node.suspended
        self.processes.append(process)
        self.spawn(process, target)
        return process

    def spawn(self, process: Process, target: Callable[[], Any]) -> Fiber:
        """A further thread of a process."""
        fiber = Fiber(process, target, self)
        process.fibers.append(fiber)
        self.at(self.now, fiber)
        return fiber

    def live(self, fiber: Fiber, target: Callable[[], Any], *_: Any) -> None:
        """The life of a fiber; a process ends with its first one."""
        process, status = fiber.process, 0
        try:
            if process.status is None:
                status = target() or 0
        except Killed:
            status = -9
        except Exited as error:
            status = error.code
        except SystemExit as error:
            status = int(error.code or 0)
        except Violation as error:
            self.violations.append(str(error))
            status = 1
        except Exception as error:
            status = 1
            self.note(f"{process} died of {type(error).__name__}: {error}")
            if not isinstance(error, ALLOWED):
                where = traceback.format_exc(limit=-6)
                self.violations.append(f"{process}: {type(error).__name__}: {error}\n{where}")
        finally:
            fiber.done = True
        for other in fiber.waiters:
            self.wake(other)
        if fiber is process.fibers[0]:
            self.end(process, status)

    def kill(self, process: Process) -> None:
        """``kill -9``."""
        if process.status is None:
            self.note(f"{process} is killed")
            self.end(process, -9)

    def end(self, process: Process, status: int) -> None:
        if process.status is not None:
            return
        process.status = status
        self.processes.remove(process)
        self.dying += [f for f in process.fibers if not f.done and f is not self.current]
        for then in process.when_over:
            then()

    def freeze(self, process: Process, seconds: float) -> None:
        """``kill -STOP``, and ``-CONT`` after some time."""
        process.frozen = max(process.frozen, self.now + seconds)
        process.awake_since = process.frozen

    def signal(self, process: Process, number: int) -> None:
        """Deliver a signal: to its handler, or it is the end."""
        if process.status is not None:
            return
        handler = process.handlers.get(number)
        if callable(handler):
            handler(number, None)
        else:
            self.kill(process)

    def note(self, words: str) -> None:
        self.log.append(f"{self.now:9.3f} {words}")
