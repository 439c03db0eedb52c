"""The command ``scaling hopeless``: runs in progress that will not be the best of their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from analysis.commands.loading import curves_of, table_of
from analysis.commands.options import Source, read
from analysis.forecasts import hopeless
from scaling.base import print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """How runs are judged."""

    rule: Literal["median", "forecast"] = "median"
    level: float = 0.9
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling hopeless``."""
    source, asked = read(Source, args), read(Options, args)
    curves = curves_of(source)
    if curves is None:
        raise ValueError(f"{source.name} has no learning curves, only final losses: give a sweep")
    found = hopeless(table_of(source), curves, asked.rule, level=asked.level)
    if asked.json:
        print_json([one.to_dict() for one in found])
        return 0
    rows = [(one.run_id, f"{one.loss:.4g}", f"{one.limit:.4g}", one.reason) for one in found]
    title = f"{source.name}: {len(rows)} runs in progress will not be the best of their size"
    print_table(title, ("run_id", "loss", "limit", "reason"), rows)
    return 0
