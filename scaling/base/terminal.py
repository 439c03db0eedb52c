"""What a command prints: one JSON document or a table to stdout, all else to stderr."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console


T = TypeVar("T")
FIRST_ROWS, LAST_ROWS = 20, 5  # of a long table
QUIET_SECONDS = 2.0  # shorter work shows no progress off a terminal
_NUMBER = re.compile(r"[+-]?[\d.]")


def note(message: str) -> None:
    """One line for the reader, on stderr."""
    print(message, file=sys.stderr, flush=True)


@cache
def note_once(message: str) -> None:
    """:func:`note`, the first time in this process that it is this message."""
    note(message)


def print_json(value: Any) -> None:
    """``value`` as one JSON document on stdout; non-finite numbers become ``null``."""
    print(json.dumps(jsonable(value), indent=2))


def jsonable(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy's scalars as Python's, non-finite numbers as None."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def console(stderr: bool = False) -> Console:
    """A rich console; 120 columns wide where the output is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 120, highlight=False)


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout under its title; numbers to the right, four significant digits."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[format_value(value) for value in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, name in enumerate(header):
        numeric = any(_NUMBER.match(row[i]) for row in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    out = console()
    if title:
        out.print(Text(title, style="bold"))
    out.print(table)


def abridged(
    items: Sequence[T], row: Callable[[T], Sequence[Any]], whole: str
) -> list[Sequence[Any]]:
    """A row of each of ``items``; of very many the first and the last, and how many are between.

    ``whole`` is what the user asks for all of them with.
    """
    hidden = len(items) - FIRST_ROWS - LAST_ROWS
    if hidden < LAST_ROWS:
        return [row(item) for item in items]
    first, last = ([row(i) for i in part] for part in (items[:FIRST_ROWS], items[-LAST_ROWS:]))
    between = [f"... {hidden} more ({whole})", *[None] * (len(first[0]) - 1)]
    return [*first, between, *last]


def format_value(value: Any) -> str:
    """A number to four significant digits, an int in full below a million, text as it is."""
    if value is None:
        return ""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:.4g}"


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Any]:
    """A progress bar on stderr; yields ``advance(amount)``.

    Off a terminal, plain lines for what takes longer than two seconds.
    """
    if sys.stderr.isatty():
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=console(stderr=True),
        )
        with bar:
            task = bar.add_task(description, total=total)
            yield lambda amount=1.0: bar.advance(task, amount)
        return
    done, shown, began = 0.0, -1, time.monotonic()

    def advance(amount: float = 1.0) -> None:
        nonlocal done, shown
        done += amount
        tenth = int(10 * done / total) if total else 0
        if tenth > shown and time.monotonic() - began > QUIET_SECONDS:
            shown = tenth
            note(f"{description}: {min(10 * tenth, 100)}%" if total else f"{description} ...")

    yield advance
