"""A sweep as it goes: a live view on a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from cluster.status.display import describe_run, render, summary
from cluster.status.run_status import ENDED
from cluster.status.sweep import SweepStatus, sweep_status
from cluster.work import is_starting
from scaling.base import Store, console, note
from scaling.run import read_rows

REFRESH_SECONDS = 1.0
SLURM_SECONDS = 5.0  # a controller has others to serve
REFRESH_SHARE = 50  # a refresh takes at most one part in so many of the time
LINE_SECONDS = 60.0  # without a run that ends, off a terminal


@contextlib.contextmanager
def watching(store: Store, name: str) -> Iterator[None]:
    """Show a sweep's progress on stderr until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=watch, args=(store, name, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def watch(
    store: Store, name: str, over: threading.Event, *, until_idle: bool = False
) -> SweepStatus:
    """Show a sweep's progress on stderr until ``over`` is set; the last status.

    With ``until_idle`` also until nobody works on it and no submission of it starts; the view then
    goes, for a status to follow.
    """
    rows = read_rows(store, name)
    status = sweep_status(name, store.root, rows=rows)
    if not sys.stderr.isatty():
        return _refresh(store, rows, status, over, until_idle, _Lines(status))
    from rich.live import Live

    out = console(stderr=True)
    with Live(render(status), console=out, auto_refresh=False, transient=until_idle) as live:
        try:
            return _refresh(
                store,
                rows,
                status,
                over,
                until_idle,
                lambda now: live.update(render(now), refresh=True),
            )
        except KeyboardInterrupt:
            live.transient = False  # what was seen last stays
            raise


def _refresh(
    store: Store,
    rows: list[dict[str, object]],
    status: SweepStatus,
    over: threading.Event,
    until_idle: bool,
    show: Callable[[SweepStatus], None],
) -> SweepStatus:
    while True:
        ending = over.is_set() or (until_idle and _is_idle(store, status))
        began = time.monotonic()
        if status.search:  # which grows
            rows = read_rows(store, status.name)
        status = sweep_status(status.name, store.root, rows=rows, before=status)
        show(status)
        if ending:
            return status
        least = SLURM_SECONDS if status.is_on_slurm else REFRESH_SECONDS
        over.wait(max(least, REFRESH_SHARE * (time.monotonic() - began)))


def _is_idle(store: Store, status: SweepStatus) -> bool:
    return not status.is_live and not is_starting(store.sweep_dir(status.name))


class _Lines:
    """One line for each run that ends, and now and then one for all."""

    def __init__(self, status: SweepStatus) -> None:
        self.told = {run.run_id for run in status.in_state(*ENDED)}
        self.said = ""
        self.at = time.monotonic()

    def __call__(self, status: SweepStatus) -> None:
        for run in status.in_state(*ENDED):
            if run.run_id not in self.told:
                self.told.add(run.run_id)
                self._note(f"[{len(self.told)}/{len(status.runs)}] {describe_run(run)}")
        line = str(status.search) if status.search else summary(status)
        if line != self.said and time.monotonic() - self.at > LINE_SECONDS:
            self.said = line
            self._note(line)

    def _note(self, line: str) -> None:
        self.at = time.monotonic()
        note(line)
