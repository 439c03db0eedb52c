"""How a sweep looks: the live view, the table of ``scaling status``, and lines of text."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cluster.work import EARLY
from scaling.base import console, format_value

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from cluster.status.failures import Failure
    from cluster.status.run_status import RunStatus
    from cluster.status.sweep import SweepStatus

SHOWN = 12
LISTED = 25
NARROW = 100  # columns of a terminal, below which a run's id is cut
SHORT_ID = 8  # `scaling logs` takes the beginning of one

STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "diverged": "yellow",
    "stalled": "red",
    "pre-empted": "yellow",
    "unknown": "magenta",
}
ORDER = (
    *("running", "stalled", "failed", "diverged", "unknown", "pre-empted", "stopped"),
    *("queued", "done", EARLY, "planned"),
)


def describe_run(run: RunStatus) -> str:
    """A run in one line: state, name, loss and time or reason."""
    if run.state == "done":
        loss = "" if run.loss is None else f"  loss {run.loss:.4f}"
        return f"{run.state} {run.name}{loss}  {duration(run.seconds)}"
    return f"{run.state} {run.name}" + (f": {run.reason}" if run.reason else "")


def summary(status: SweepStatus) -> str:
    """Counts, FLOPs and GPU-hours in one line."""
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    total = status.flops_total
    share = status.flops_done / total if total else 1.0
    line = f"{status.name}: {counts} of {len(status.runs)}; {share:.1%} of {total:.3g} FLOPs"
    if status.gpu_hours_used:
        line += f"; {hours(status.gpu_hours_used)} GPU-hours used"
        if status.gpu_hours_left:
            line += f", about {hours(status.gpu_hours_left)} left"
    return line


def hours(value: float) -> str:
    """Hours to two digits that matter, or in full."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def render(status: SweepStatus, height: int = SHOWN) -> Group:
    """The live view: a bar over FLOPs, what runs, what went wrong."""
    from rich.console import Group
    from rich.text import Text

    parts = _head(status)
    running = sorted(status.in_state("running"), key=lambda run: -run.flops)
    if running:
        parts.append(_table(running[:height], ("running", "loss", "progress", "left")))
        if len(running) > height:
            parts.append(Text(f"... and {len(running) - height} more", style="dim"))
    parts.extend(part for failure in status.failures for part in _failure(failure))
    return Group(*parts)


def print_status(status: SweepStatus) -> None:
    """The whole of ``scaling status`` on stdout: runs, failures by cause, what to do next."""
    from rich.text import Text

    out = console()
    for part in _head(status, bar=out.is_terminal):
        out.print(part)
    runs = sorted(status.runs, key=lambda run: ORDER.index(run.state))
    columns = ["state", "run", "run_id", "progress", "loss", "left"]
    columns += ["job"] if any(run.job for run in runs) else []
    columns += ["reason"] if any(run.reason and not run.cause for run in runs[:LISTED]) else []
    out.print(_table(runs[:LISTED], columns, SHORT_ID if out.width < NARROW else None))
    if len(runs) > LISTED:
        out.print(Text(f"... and {len(runs) - LISTED} more: --json has all", style="dim"))
    for failure in status.failures:
        for part in _failure(failure):
            out.print(part)
    if hint := next_command(status):
        out.print(Text(hint, style="bold"), soft_wrap=True)


def next_command(status: SweepStatus) -> str:
    """What to do next."""
    name = shlex.quote(status.name)
    if status.is_live:
        return f"`scaling status {name} --watch` follows it, `scaling cancel {name}` stops it"
    if status.cap:
        return ""
    over = status.search is None or status.search.end
    if over and all(
        run.imported or run.state in ("done", "diverged", EARLY) for run in status.runs
    ):
        return f"all done: `scaling report {name} -o report.html`"
    return f"nobody works on it: `scaling retry {name}` does what is left"


def _head(status: SweepStatus, *, bar: bool = True) -> list[RenderableType]:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    parts: list[RenderableType] = [Text(summary(status), style="bold")]
    if status.problem:
        parts.append(Text(status.problem, style="yellow"))
    if status.cap:
        parts.append(Text(status.cap, style="bold red"))
    elif status.caps:
        said = (f"{used:.3g} of {key} {most:g}" for key, (used, most) in status.caps.items())
        parts.append(Text(f"used {', '.join(said)}"))
    parts.extend(Text(line, style="yellow") for line in status.undelivered)
    if status.search:
        parts.append(Text(str(status.search)))
    if early := status.in_state(EARLY):
        parts.append(Text(_saved(status, len(early))))
    if damaged := [run for run in status.runs if run.damaged]:
        parts.append(Text(_damage(damaged), style="yellow"))
    if bar:
        total = status.flops_total or 1.0
        line = ProgressBar(total=total, completed=status.flops_done, width=60)
        parts.append(_padded(line))
    return parts


def _saved(status: SweepStatus, runs: int) -> str:
    """What was saved by ending runs early, and how to go on with them."""
    hours_ = ""
    if status.gpu_hours_used and (computed := sum(r.flops * r.trained for r in status.runs)):
        saved = status.gpu_hours_used / computed * status.flops_saved
        hours_ = f" (about {hours(saved)} GPU-hours)"
    return (
        f"{runs} stopped early saved {status.flops_saved:.3g} FLOPs{hours_}: `scaling retry "
        f"{shlex.quote(status.name)} --stopped-early` goes on with them"
    )


def _damage(runs: list[RunStatus]) -> str:
    """What damaged journals mean, and what mends them."""
    listed = ", ".join(run.name for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    count = sum(run.damaged for run in runs)
    return (
        f"{count} damaged lines in the journals of {len(runs)} runs ({listed}): their curves may "
        "lack points. Runs that go on from a checkpoint mend theirs; ended ones only when they are "
        "begun anew (`scaling submit ... --rerun all`)"
    )


def _table(
    runs: list[RunStatus], columns: tuple[str, ...] | list[str], id_length: int | None = None
) -> Table:
    from rich.table import Table
    from rich.text import Text

    def cut(text: str, style: str = "") -> Text:
        """A cell that is cut, not wrapped, where the terminal is too narrow."""
        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in ("loss", "progress", "left") else "left",
            # Names and reasons alone give way; the others keep what they need.
            no_wrap=column not in ("running", "run", "reason"),
        )
    for run in runs:
        cells = {
            "running": cut(run.name, STYLES["running"]),
            "state": Text(run.state, style=STYLES.get(run.state, "")),
            "run": cut(run.name),
            "run_id": Text(run.run_id[:id_length], style="dim"),
            "progress": Text(f"{run.progress:.0%}"),
            "loss": Text("" if run.loss is None else f"{run.loss:.4f}"),
            "left": Text(duration(run.seconds_left)),
            "job": Text(run.job),
            "reason": cut("" if run.cause else run.reason),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def _failure(failure: Failure) -> list[RenderableType]:
    from rich.text import Text

    style = STYLES.get(failure.runs[0].state, "red")
    title = Text(
        f"{failure.cause}: {format_value(len(failure.runs))} ",
        style=f"bold {style}",
        no_wrap=True,
        overflow="ellipsis",
    )
    names = ", ".join(run.name for run in failure.runs[:3])
    more = f", ... {len(failure.runs) - 3} more" if len(failure.runs) > 3 else ""
    title.append(f"({names}{more})", style="not bold")
    parts: list[RenderableType] = [_padded(title)]
    if failure.reason:
        parts.append(_padded(Text(failure.reason), 2))
    if failure.log_tail:
        tail = Text(failure.log_tail, style="dim", no_wrap=True, overflow="ellipsis")
        parts.append(_padded(tail, 4))
    parts.append(_padded(Text(failure.remedy), 2))
    return parts


def _padded(part: RenderableType, left: int = 0) -> RenderableType:
    """A part that ends its line, and is not joined to the next; not filled up to the margin."""
    from rich.padding import Padding

    return Padding(part, (0, 0, 0, left), expand=False)


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
