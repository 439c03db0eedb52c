"""Getting on: steps, not signs of life, tell a run that trains from one that hangs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.slurm import GO_ON
from cluster.work.stalled import say_stalled
from scaling.base import note
from scaling.world import os, threading, time

PAUSES = 20  # a worker is given as many times its longest pause between steps
BEGIN_SECONDS = 600.0  # and until its first step, for what it has to load, at least this
LOOK_SECONDS = 0.5
SAY_SECONDS = 10.0


@dataclass(kw_only=True)
class Progress:
    """How a worker gets on with a run.

    Attributes
    ----------
    run_id : str
        The run that it does; empty before the first.
    since : float
        When it began that, in seconds since 1970.
    pause : float
        The longest time between two steps of that run.
    heard : float
        When it last gave a sign of getting on, by :func:`time.monotonic`.
    is_fresh : bool
        Whether it has not made a step of that run yet.
    """

    run_id: str = ""
    since: float = 0.0
    pause: float = 0.0
    heard: float = field(default_factory=lambda: time.monotonic())
    is_fresh: bool = True

    def begin(self, run_id: str) -> None:
        """It begins a run: the name last, for who looks meanwhile from another thread."""
        self.heard, self.since, self.pause, self.is_fresh = time.monotonic(), time.time(), 0.0, True
        self.run_id = run_id

    def step(self) -> None:
        """It gets on."""
        now = time.monotonic()
        self.pause = self.pause if self.is_fresh else max(self.pause, now - self.heard)
        self.heard, self.is_fresh = now, False

    def silence(self, silent_minutes: float) -> float:
        """Seconds without a step if those are too many, else 0."""
        silence = time.monotonic() - self.heard
        least = BEGIN_SECONDS if self.is_fresh else PAUSES * self.pause
        return silence if silence > max(60 * silent_minutes, least) else 0.0

    def reason(self, silence: float) -> str:
        """Why it is taken to hang."""
        return f"no step for {silence:.0f} s (longest pause before: {self.pause:.0f} s)"


@dataclass
class Watch:
    """Ends this process when the run that it trains hangs, in a call to others of its team say.

    Such a call can be neither interrupted nor waited for. SLURM ends the others with it, and the
    job goes on in another attempt. Between two runs (looking for the next, meeting or leaving the
    team) it hangs when it does not ask whether to stop for as long as a run may take to begin.
    """

    silent_minutes: float
    progress: Progress = field(default_factory=Progress)
    run_dir: Path = field(default_factory=Path)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Look, in a thread, until the end of the block."""
        over = threading.Event()
        threading.Thread(target=self._look, args=(over,), daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def asking(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """``stop``, which between two runs is a sign of getting on."""

        def asked() -> bool:
            if not self.progress.run_id:
                self.progress.heard = time.monotonic()
            return stop()

        return asked

    def train(self, train: Callable[..., Any], spec: Any, run_dir: Path, **options: Any) -> Any:
        """``train``, watched: each of its steps asks whether to stop."""
        stop = options.pop("should_stop")

        def asked() -> bool:
            self.progress.step()
            return bool(stop())

        self.run_dir = run_dir
        self.progress.begin(spec.run_id)
        try:
            return train(spec, run_dir, should_stop=asked, **options)
        finally:
            self.progress.begin("")

    def _look(self, over: Any) -> None:
        while not over.wait(LOOK_SECONDS):
            run_id = self.progress.run_id  # asked first: what was before a run is no silence of it
            silence = self.progress.silence(self.silent_minutes)
            if silence and run_id == self.progress.run_id:
                say = threading.Thread(target=self._say, args=(silence,), daemon=True)
                say.start()
                say.join(SAY_SECONDS)  # what hangs may be the disk
                os._exit(GO_ON)

    def _say(self, silence: float) -> None:
        if not self.progress.run_id:
            note(f"nothing done between two runs for {silence:.0f} s: another attempt goes on")
            return
        reason = self.progress.reason(silence)
        note(f"{self.progress.run_id}: {reason}: this job goes on in another attempt")
        say_stalled(self.run_dir, self.progress.since, reason)
