"""What came out of a sweep, in its experiment's note: the best runs, and its law."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.work import EARLY
from scaling.base import Store, format_value
from scaling.tracking import cell, flat, swept
from scaling.world import os, subprocess

if TYPE_CHECKING:
    from cluster.status import SweepStatus

ROWS = 20
ROOM = 8000  # characters of the table: MLflow takes 20,000 of a note
LETTERS = 40
OPTIONS = 4  # columns of what was swept
DRAWS = 100  # of the law's interval: 0.3 s for 20 runs
SECONDS = 120.0  # that the law may take, the start of its command included
KEPT = "fit.json"  # `scaling fit --keep` writes it into a sweep's folder
LEAST = 5  # runs of a sweep that is fitted though nobody kept a law with it
ENDED = ("done", "diverged", "failed", EARLY)


@dataclass(frozen=True)
class Law:
    """A sweep's law as the store is told of it.

    Attributes
    ----------
    text : str
        Markdown: the law and its intervals, or why there is none.
    formula : str
        Empty where there is no law.
    line : sequence of (float, float)
        Training FLOPs and the lowest loss that it expects there; empty where it has none.
    is_known : bool
        Whether ``scaling fit`` answered.
    """

    text: str
    formula: str = ""
    line: Sequence[tuple[float, float]] = ()
    is_known: bool = True


def law_of(store: Store, status: SweepStatus) -> Law | None:
    """The law when all runs ended: the one that was kept with the sweep, else the usual one."""
    all_ended = len(status.in_state(*ENDED)) == len(status.runs)
    is_kept = (store.sweep_dir(status.name) / KEPT).exists()
    if all_ended and (is_kept or len(status.in_state("done", EARLY)) >= LEAST):
        return _law(store, status.name, is_kept=is_kept)
    return None


def results(status: SweepStatus, rows: Sequence[Mapping[str, Any]]) -> str:
    """The runs with the lowest loss as a markdown table, and how many are in each state."""
    ended = [run for run in status.in_state("done", EARLY) if _is_loss(run.loss)]
    best = sorted(ended, key=lambda run: run.loss or 0.0)[:ROWS]
    lines = [f"{count} {state}" for state, count in status.counts.items()]
    said = f"{len(status.runs)} runs: {', '.join(lines)}."
    if not best:
        return said
    params = {row["run_id"]: flat(row["spec"]) for row in rows}
    columns = {row["run_id"]: row for row in rows}
    options = [name for name in swept(rows) if not name.endswith("num_tokens")][:OPTIONS]
    header = ("run", "loss", "N", "D", "C", *options)
    table = [_line(header), _line(["---"] * len(header))]
    shown = 0
    for run in best:
        num_params = columns[run.run_id].get("num_params")
        numbers = (run.loss, num_params, run.num_tokens * run.trained, run.flops * run.trained)
        given = (_short(params[run.run_id].get(name, "")) for name in options)
        line = _line([_cut(run.name), *map(format_value, numbers), *map(_cut, given)])
        if sum(map(len, table)) + len(line) > ROOM:
            break
        table.append(line)
        shown += 1
    more = len(ended) - shown
    rest = f"\n\nand {more} more, with a higher loss" if more else ""
    return f"{said}\n\n" + "\n".join(table) + rest


def _line(values: Sequence[Any]) -> str:
    return f"| {' | '.join(map(cell, values))} |"


def _short(text: str) -> str:
    """A number to four digits, other text as it is."""
    try:
        return format_value(float(text))
    except ValueError:
        return text


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _is_loss(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _law(store: Store, name: str, *, is_kept: bool) -> Law:
    """The law and its intervals, as ``scaling fit`` says them; why where it has none."""
    words = ["scaling", "fit", name]
    asked = [sys.executable, "-m", *words, "--root", str(store.root), "--bootstrap", str(DRAWS)]
    command = f"`{shlex.join(words)}`"
    try:
        told = subprocess.run(
            [*asked, "--json"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=dict(os.environ),
        )
        found = json.loads(told.stdout) if told.returncode == 0 else None
        why = (told.stderr.splitlines() or [""])[-1].removeprefix("scaling fit: ")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return Law(f"{command} says it.", is_known=False)
    if found is None:
        return Law(f"None: {cell(why)}\n\n{command} says more.")
    if not is_kept and found["untold"]:
        return Law(f"None: {cell(found['untold'])}.\n\n{command} says more.")
    text, line = law_text(found, command), found["frontier"]
    if is_kept:
        return Law(text, found["formula"], line)
    another = f"`{shlex.join([*words, '--law', 'NAME', '--keep'])}`"
    how = f"{another} keeps another, and `scaling sync` shows it here"
    return Law(f"{text}\n\nThis is the usual law: {how}.", found["formula"], line)


def law_text(found: Mapping[str, Any], command: str) -> str:
    """What ``scaling fit --json`` found, as markdown; ``command`` is what says more."""
    header = ("", "value", f"{100 * found['level']:g} % from", "to")
    rows = [_line(header), _line(["---"] * len(header))]
    for key in [*found["params"], *(key for key in ("a", "b") if found.get(key) is not None)]:
        value = found["params"].get(key, found.get(key))
        rows.append(_line([key, *map(format_value, (value, *found["ci"].get(key, ("", ""))))]))
    table = "\n".join(rows)
    return (
        f"`{found['formula']}`\n\n{table}\n\n{found['n_runs']} runs, {found['draws']['used']} "
        f"draws; status: {cell(found['status'])}. {command} says more."
    )
