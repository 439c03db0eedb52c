"""The command ``scaling pareto``: how good each model is for what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.designs import HEADERS, Pareto, table_rows
from analysis.designs import pareto as find_frontier
from analysis.plotting import Picture, save_all
from analysis.plotting import pareto as draw
from analysis.tables import unusable
from scaling.base import PUE, note, print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """What is good, and what power a run and its data centre draw."""

    metric: str | None = None
    watts: float | None = None
    pue: float = PUE
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling pareto``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    found = _frontier(source, asked)
    if output:
        for path in save_all({"pareto": draw(found)}, output):
            note(f"written to {path}")
    if asked.json:
        print_json(found.to_dict())
        return 0
    metric = "error (%)" if found.metric == "error" else found.metric
    header = ("family", "model", *(HEADERS[cost] for cost in found.costs), metric)
    title = f"{source.name}: {len(found.models)} models, * on the frontier in this cost"
    print_table(title, header, table_rows(found))
    said = {
        "seconds_per_example": "training: measured, with held-out evaluation",
        "inference_seconds": "inference: measured on held-out data in batches of 64",
    }
    lines = [text for cost, text in said.items() if cost in found.costs]
    if "kwh_estimated" in found.costs:
        watts = "rated power of the device" if asked.watts is None else f"{asked.watts:g} W"
        lines.append(
            f"energy: estimated, seconds of training x {watts} x PUE {asked.pue:g}, as if a run "
            "had its device to itself"
        )
    print("\n".join(lines))
    return 0


def figures(source: Source, asked: Options) -> dict[str, Picture]:
    """The figure by its name."""
    return {"pareto": draw(_frontier(source, asked))}


def _frontier(source: Source, asked: Options) -> Pareto:
    table = table_of(source)
    found = find_frontier(table, metric=asked.metric, watts=asked.watts, pue=asked.pue)
    for line in (*unusable(table, found.metric), *found.notes):
        note(line)
    return found
