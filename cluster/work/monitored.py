"""Samples of the machine in the journals of the runs that a worker trains, beside them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cluster.work.lease import Lease
from scaling.run import Journal, Monitor, SupersededError, end, read_turns
from scaling.world import threading, time
from sweeps import Resources

LOOK_SECONDS = 1.0  # between looks at the GPUs; a sample has their mean
JOIN_SECONDS = 10.0  # that a disk which hangs may keep a worker


@contextlib.contextmanager
def monitored(
    runs: Sequence[tuple[Path, Lease]], resources: Resources, say: Callable[[str], None]
) -> Iterator[None]:
    """Put a sample into each run's journal every ``monitor_seconds`` while they train.

    What cannot be measured is said, and is no error: neither is a journal that cannot be written,
    which its run will find too.
    """
    if not resources.monitor_seconds:
        yield
        return
    try:
        monitor = Monitor(gpus=resources.device != "cpu")
    except ValueError as error:
        say(str(error))
        yield
        return
    if monitor.missing:
        say(monitor.missing)
    over = threading.Event()
    thread = threading.Thread(
        target=_follow, args=(runs, monitor, resources.monitor_seconds, over), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(JOIN_SECONDS)


def _follow(
    runs: Sequence[tuple[Path, Lease]], monitor: Monitor, seconds: float, over: threading.Event
) -> None:
    journals: dict[Path, Journal] = {}
    due = time.monotonic() + seconds
    try:
        while not over.wait(max(0.0, min(LOOK_SECONDS, due - time.monotonic()))):
            if time.monotonic() < due:
                monitor.look()
                continue
            due += seconds * max(1, math.ceil((time.monotonic() - due) / seconds))
            said, now = monitor.sample(), time.time()
            for run_dir, lease in runs:
                with contextlib.suppress(SupersededError, OSError):
                    if not _is_open(run_dir):  # it has not begun, or ended before the others
                        continue
                    if run_dir not in journals:
                        journals[run_dir] = Journal(run_dir, lease.epoch, lease.held)
                    journals[run_dir].append("system", time=now, **said)
    finally:
        for journal in journals.values():
            journal.close()


def _is_open(run_dir: Path) -> bool:
    events = read_turns(run_dir)
    return bool(events) and end(events) is None
