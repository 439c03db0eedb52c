"""A program that runs, by way of its guard."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.programs import guard

END_SECONDS = 20.0  # that a guard may take to see everything dead


class Process:
    """A command that runs in ``folder``; what it prints goes to the end of ``log``.

    Raises
    ------
    ValueError
        If there is no such command, or it may not be executed.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        self._said: dict[str, Any] = {}
        self._send(json.dumps(list(command)))
        assert self._guard.stdout is not None
        self._hear(self._guard.stdout.readline())
        if "error" in self._said:
            self.close()
            raise ValueError(_refusal(command[0], *self._said["error"]))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The program's process."""
        return int(self._said["pid"])

    @property
    def abandoned(self) -> bool:
        """Whether the guard ended the program because this process was silent for long."""
        return "silent" in self._said

    def wait(self, seconds: float) -> int | None:
        """The exit status, negative for a signal; None if it still runs after ``seconds``.

        The guard hears from this that the worker lives.
        """
        self._send("beat")
        self._listener.join(seconds)
        if self._listener.is_alive():
            return None
        return int(self._said.get("ended", -signal.SIGKILL))

    def signal(self, name: str) -> None:
        """Send the program a signal."""
        self._send(f"signal {signal.Signals[name].value}")

    def kill(self) -> None:
        """Kill the program and all that it has started."""
        self._send("kill")

    def close(self) -> None:
        """Kill what still runs and wait until it is gone."""
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.close()
        try:
            self._guard.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # it waits for a process that the kernel does not end
            self._guard.kill()
            self._guard.wait()
        if self._guard.stdout is not None and "pid" not in self._said:
            self._guard.stdout.close()

    def _send(self, line: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guard.stdin.write(line.encode() + b"\n")
            self._guard.stdin.flush()

    def _hear(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            self._said.update(json.loads(line))

    def _listen(self) -> None:
        assert self._guard.stdout is not None
        with self._guard.stdout as lines:
            for line in lines:
                self._hear(line)


def _refusal(word: str, number: int, words: str) -> str:
    if number == errno.ENOENT:
        remedy = "give its path" if os.sep in word else "install it, or give its path"
        return f"command not found: {word!r}: {remedy}"
    return f"command {word!r} cannot be started: {words}"
