"""The command ``scaling report``: one self-contained HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.commands.forecasting import forecast_for
from analysis.commands.kept import Kept, fit_options
from analysis.commands.loading import curves_of, fit_of, table_of
from analysis.commands.options import (
    REPORT,
    FitOptions,
    ForecastOptions,
    Source,
    flags,
    read,
    words_of,
)
from analysis.compute import IsoFlop
from analysis.compute import isoflop as find_minima
from analysis.forecasts import Forecast, predict_held_out
from analysis.report import Findings, write_report
from scaling.base import NoAnswerError, note

if TYPE_CHECKING:
    import argparse

    import pandas as pd


@dataclass(frozen=True)
class Options:
    """The heading, where it is not to name the source, and other sources beside it."""

    title: str | None = None
    others: tuple[str, ...] = ()


def run(args: argparse.Namespace) -> int:
    """``scaling report``."""
    source, asked = read(Source, args), read(Options, args)
    output = REPORT.path(args.output)
    sources = [source, *(replace(source, name=name) for name in asked.others)]
    if len({one.name for one in sources}) < len(sources):
        raise ValueError("a source is given twice: each has a part of its own")
    how = [fit_options(one, args) for one in sources]
    named = hasattr(args, "law") or hasattr(args, "x_col")
    found = [_found(one, told, named) for one, told in zip(sources, how, strict=True)]
    names = ", ".join(_name(one) for one in sources)
    path = write_report(
        output,
        found[0] if len(found) == 1 else found,
        title=asked.title or f"Scaling laws of {names}",
        how_to_run=command(source, how[0], output, asked.title, asked.others),
    )
    note(f"written to {path}")
    return 0


def _name(source: Source) -> str:
    return Path(source.name).stem


def _found(source: Source, how: Kept, named: bool) -> Findings:
    """What a report says of one source; runs that allow no law have a report if none was named."""
    options, table = how.fit, table_of(source)
    fits, why = [], ""
    try:
        fits = [fit_of(table, options)]
    except ValueError as error:
        if named:
            raise
        why = str(error)
        note(f"a report without a law: {why}")
    if fits and fits[0].untold and not named and options.law is None:
        why, fits = fits[0].untold, []
    return Findings(
        table,
        fits=fits,
        curves=curves_of(source),
        expected=_expected(table, options) if fits else None,
        isoflop=_minima(table),
        holdout=_held_out(table, options, how.hold_out) if fits else (),
        level=options.level,
        name=_name(source),
        no_law=why,
    )


def _expected(table: pd.DataFrame, options: FitOptions) -> Forecast | None:
    """What lies beyond the runs, by the law that was named, else by several."""
    given = {**vars(options), "bootstrap": 0}
    if options.law is None:
        given = {name: given[name] for name in ("weights", "x_col", "level", "seed")}
    asked = ForecastOptions(**given)
    try:
        return forecast_for(table, asked)
    except (ValueError, NoAnswerError) as error:
        note(f"no forecast: {error}")
        return None


def _held_out(table: pd.DataFrame, options: FitOptions, count: int) -> Sequence[dict[str, Any]]:
    """The largest runs, as a forecast from all others expects them."""
    if not count:
        return ()
    if "flops" not in table.columns:
        raise ValueError(f"--hold-out {count}: the table has no C by which runs are the largest")
    runs = table[table["exclude_reason"] == ""].sort_values("flops", kind="stable")
    if count >= len(runs):
        raise ValueError(f"--hold-out {count}: there are {len(runs)} runs; leave some to fit")
    blind = _expected(runs.iloc[:-count], options)
    return predict_held_out(blind, runs.iloc[-count:], options.level) if blind else ()


def _minima(table: pd.DataFrame) -> IsoFlop | None:
    """Iso-FLOP minima, where the runs are of such a design and it succeeded."""
    try:
        return find_minima(table)
    except (ValueError, NoAnswerError):
        return None


def command(
    source: Source, how: Kept, output: Path, title: str | None, others: Sequence[str] = ()
) -> str:
    """The command that makes the same report."""
    name, *said = words_of(source)
    words = ["scaling", "report", name, *others, "-o", str(output), *said]
    words += ["--title", title] if title is not None else []
    words += flags(how.fit)
    return shlex.join(words + (["--hold-out", str(how.hold_out)] if how.hold_out else []))
