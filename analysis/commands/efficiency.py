"""The command ``scaling efficiency``: compute to reach a fixed loss, and how fast that fell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.commands.loading import curves_of, require, table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.efficiency import Reached, Trend, compute_to_reach, published, trend
from analysis.plotting import efficiency as draw
from analysis.plotting import save_all
from analysis.tables import unusable, usable
from analysis.wording import span
from scaling.base import format_value, note, pfs_days, print_json, print_table, refuse_unknown

if TYPE_CHECKING:
    import argparse

    import pandas as pd

SOURCE = "source"
"""The column of a table's own name where there are several."""


@dataclass(frozen=True)
class Options:
    """What is to be reached, by which groups, and when these are from."""

    others: tuple[str, ...] = ()
    target: float | None = None
    by: str | None = None
    date_col: str | None = None
    baseline: str | None = None
    metric: str = "loss"
    level: float = 0.9
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling efficiency``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    table, curves = _read(source, asked)
    by, date = _groups(table, asked), _dates(table, asked)
    if asked.target is None:
        found = published(table, by, date=date, baseline=asked.baseline)
    else:
        found = compute_to_reach(
            table, asked.target, by, metric=asked.metric, curves=curves, date=date,
            baseline=asked.baseline, level=asked.level,
        )  # fmt: skip
    line = trend(found, asked.level)
    if output:
        runs = None if asked.target is None else table
        picture = draw(found, line, runs, curves, by, asked.metric, asked.target)
        for path in save_all({"efficiency": picture}, output):
            note(f"written to {path}")
    if asked.json:
        print_json(
            {
                "target": asked.target,
                "metric": asked.metric,
                "by": by,
                "groups": [{**one.to_dict(), "pfs_days": pfs_days(one.flops)} for one in found],
                "trend": None if line is None else line.to_dict(),
            }
        )
        return 0
    _print(found, line, asked, by, dated=date is not None)
    return 0


def _read(source: Source, asked: Options) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The rows that can be used of all sources, and their learning curves."""
    import pandas as pd

    each = [replace(source, name=name) for name in (source.name, *asked.others)]
    needed = ("flops",) if asked.target is None else ("flops", asked.metric)
    tables, curves = [], []
    for one in each:
        table = table_of(one)
        require(table, *(name for name in needed if name in ("flops", "loss")))
        tables.append(usable(table, *needed).assign(**{SOURCE: one.name}))
        for name in needed:
            for line in unusable(table, name):
                note(line)
        if asked.target is not None and (curve := curves_of(one)) is not None:
            curves.append(curve)
    found = pd.concat(tables, ignore_index=True)
    if not len(found):
        raise ValueError(f"no row has {' and '.join(needed)} above 0: wait for a finished run")
    return found, pd.concat(curves, ignore_index=True) if curves else None


def _groups(table: pd.DataFrame, asked: Options) -> str:
    """The column of the groups: as asked, sources, families, names."""
    if asked.by is not None:
        if asked.by not in table.columns:
            refuse_unknown(asked.by, map(str, table.columns), "column (--by)")
        return asked.by
    if asked.others:
        return SOURCE
    for name in ("family",) if asked.target is not None else ("name",):
        if name in table.columns and table[name].nunique() > 1:
            return name
    raise ValueError(
        "nothing to compare: name the column of the groups with --by, such as optimizer, or give "
        "several sources"
    )


def _dates(table: pd.DataFrame, asked: Options) -> str | None:
    name = asked.date_col or "date"
    if name in table.columns:
        return name
    if asked.date_col is not None:
        refuse_unknown(name, map(str, table.columns), "column of dates (--date-col)")
    return None


def _print(
    found: Sequence[Reached], line: Trend | None, asked: Options, by: str, *, dated: bool
) -> None:
    percent = f"{100 * asked.level:g} %"
    columns = {
        by: [one.group for one in found],
        **({"date": [f"{one.date:.1f}" for one in found]} if dated else {}),
        "FLOPs": [_number(one.flops) for one in found],
        "pfs-days": [_number(pfs_days(one.flops)) for one in found],
        percent: [span(one.flops_ci) for one in found],
        "efficiency": [_number(one.factor) for one in found],
        "status": [one.status for one in found],
    }
    if not any(columns[percent]):  # of one seed
        del columns[percent]
    to = "the same" if asked.target is None else f"{asked.metric} {asked.target:g}"
    print_table(
        f"training compute to reach {to}", tuple(columns), list(zip(*columns.values(), strict=True))
    )
    if line is not None:
        low, high = line.doubling_months_ci
        ends = f"{low:.3g} to {high:.3g}" if np.isfinite(high) else f"{low:.3g} or more"
        print(
            f"efficiency doubles each {line.doubling_months:.3g} months ({percent}: {ends}; "
            f"n = {line.n})"
        )
    elif dated:
        print("doubling time: not known of fewer than 3 dates")


def _number(value: float) -> str:
    return format_value(value) if np.isfinite(value) else ""
