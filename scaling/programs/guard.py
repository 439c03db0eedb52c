"""The guard of one program: a small process between a worker and what it runs.

It starts the program in a session of its own and ends it, with whatever it has started, when the
worker says so, dies, or is silent for so long that another may have taken the run over. So nothing
of a program is left that could write beside its successor. It needs the standard library alone and
is run by path: ``python -I -S guard.py``, the command as a line of JSON on its input, and then
``beat``, ``signal N`` and ``kill``, a line each. It answers in lines of JSON: ``pid`` or
``error``, ``silent`` where it heard nothing for long, and ``ended`` with the exit status.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SILENCE_SECONDS = 75.0  # less than a lease lives without its holder
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PDEATHSIG, _SUBREAPER = 1, 36  # prctl(2)


def main() -> None:
    """Read the command, run it, say how it ended."""
    # The worker decides; not ignored, which the program would inherit.
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    _prctl(_SUBREAPER, 1)  # what the program leaves behind becomes a child of this process
    first = sys.stdin.buffer.readline()
    if not first:
        return
    try:
        program = subprocess.Popen(
            json.loads(first),
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            start_new_session=True,
            preexec_fn=_prepare,
        )
    except OSError as error:
        _say(error=[error.errno, error.strerror])
        return
    _say(pid=program.pid)
    threading.Thread(target=_obey, args=(program,), daemon=True).start()
    status = program.wait()
    _kill_all(program.pid)
    _say(ended=status)


def _prepare() -> None:
    """In the program's process before it begins: signals as usual, no life without the guard."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _prctl(_PDEATHSIG, signal.SIGKILL)


def _obey(program: subprocess.Popen[bytes]) -> None:
    """Do what the worker says; without a word from it, end the program."""
    rest = b""
    while True:
        if not select.select([0], [], [], SILENCE_SECONDS)[0]:
            _say(silent=SILENCE_SECONDS)
            break
        data = os.read(0, 4096)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"signal" and program.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(program.pid, int(number))
            elif word == b"kill":
                _kill_all(program.pid)
    _kill_all(program.pid)


def _kill_all(pid: int) -> None:
    """Kill the program's group, and its descendants in sessions of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(100):
        left = _descendants()
        if not left:
            return
        for one in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        time.sleep(0.02)


def _descendants() -> list[int]:
    """The living processes below this one; none where there is no ``/proc``."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(path.parent.name)] = int(parent)
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(below - {os.getpid()})


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _say(**values: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(values).encode() + b"\n")


if __name__ == "__main__":
    main()
