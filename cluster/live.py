"""A sweep as it goes: a live view on a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cluster.status import ENDED, RunStatus, SweepStatus, read_rows, sweep_status
from scaling.store import Store
from scaling.terminal import console, note

if TYPE_CHECKING:
    from rich.console import Group

REFRESH_SECONDS = 1.0
REFRESH_SHARE = 50  # a refresh takes at most one part in so many of the time
SHOWN = 12

STYLES = {"done": "green", "running": "cyan", "failed": "red", "diverged": "yellow"}


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


def watch(store: Store, name: str, over: threading.Event) -> None:
    """Show a sweep's progress on stderr until ``over`` is set."""
    rows = read_rows(store, name)
    status = sweep_status(name, store.root, rows=rows)
    if not sys.stderr.isatty():
        _plain_lines(store, rows, status, over)
        return
    from rich.live import Live

    with Live(render(status), console=console(stderr=True), auto_refresh=False) as live:
        while True:
            ending = over.is_set()
            began = time.monotonic()
            status = sweep_status(name, store.root, rows=rows, before=status)
            live.update(render(status), refresh=True)
            if ending:
                return
            over.wait(max(REFRESH_SECONDS, REFRESH_SHARE * (time.monotonic() - began)))


def _plain_lines(
    store: Store, rows: list[dict[str, object]], status: SweepStatus, over: threading.Event
) -> None:
    """One line for each run that ends."""
    told = {run.run_id for run in status.in_state(*ENDED)}
    while True:
        ending = over.is_set()
        began = time.monotonic()
        status = sweep_status(status.name, store.root, rows=rows, before=status)
        for run in status.in_state(*ENDED):
            if run.run_id not in told:
                told.add(run.run_id)
                note(f"[{len(told)}/{len(status.runs)}] {describe_run(run)}")
        if ending:
            return
        over.wait(max(REFRESH_SECONDS, REFRESH_SHARE * (time.monotonic() - began)))


def describe_run(run: RunStatus) -> str:
    """A run in one line: state, name, loss and time or reason."""
    if run.state == "done":
        loss = "" if run.loss is None else f"  loss {run.loss:.4f}"
        return f"{run.state} {run.name}{loss}  {duration(run.seconds)}"
    return f"{run.state} {run.name}" + (f": {run.reason}" if run.reason else "")


def summary(status: SweepStatus) -> str:
    """Counts and FLOPs in one line."""
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    total = status.flops_total
    share = status.flops_done / total if total else 1.0
    return f"{status.name}: {counts} of {len(status.runs)}; {share:.1%} of {total:.3g} FLOPs"


def render(status: SweepStatus, height: int = SHOWN) -> Group:
    """The live view: a bar over FLOPs, what runs, what went wrong."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    parts: list[Text | ProgressBar | Table] = [Text(summary(status), style="bold")]
    parts.append(
        ProgressBar(total=status.flops_total or 1.0, completed=status.flops_done, width=60)
    )
    running = status.in_state("running")
    if running:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for column in ("running", "loss", "progress", "left"):
            table.add_column(column, justify="left" if column == "running" else "right")
        for run in sorted(running, key=lambda run: -run.flops)[:height]:
            table.add_row(
                Text(run.name, style=STYLES["running"]),
                "" if run.loss is None else f"{run.loss:.4f}",
                f"{run.progress:.0%}",
                duration(run.seconds_left),
            )
        parts.append(table)
        if len(running) > height:
            parts.append(Text(f"... and {len(running) - height} more", style="dim"))
    for state in ("failed", "diverged", "stalled"):
        for run in status.in_state(state)[:3]:
            parts.append(
                Text(
                    describe_run(run),
                    style=STYLES.get(state, "yellow"),
                    overflow="ellipsis",
                    no_wrap=True,
                )
            )
    return Group(*parts)


def duration(seconds: float | None) -> str:
    """A time span in the two largest units that matter; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
