"""The figure ``scaling plot SOURCE search``: strategies of search at equal FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.commands.loading import table_of
from analysis.commands.options import Source
from analysis.designs import compare_searches
from analysis.plotting import Picture
from analysis.plotting import search as draw
from analysis.wording import span
from scaling.base import note


@dataclass(frozen=True)
class Options:
    """The further searches of the comparison, and of what the interval is."""

    also: tuple[str, ...] = ()
    metric: str | None = None
    level: float = 0.9


def figure(source: Source, asked: Options) -> Picture:
    """The figure; the strategies at the last budget that all reached go to stderr."""
    import pandas as pd

    names = dict.fromkeys((source.name, *asked.also))
    tables = [table_of(replace(source, name=name)) for name in names]
    found = compare_searches(
        pd.concat(tables, ignore_index=True), metric=asked.metric, level=asked.level
    )
    for curve in found.curves:
        ci = f" {span((curve.low[-1], curve.high[-1]))}" if len(curve.runs) > 1 else ""
        note(f"{curve.strategy}: best {found.metric} {curve.best[-1]:.4g}{ci}")
    return draw(found)
