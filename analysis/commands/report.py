"""The command ``scaling report``: one self-contained HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
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
    """The heading, where it is not to name the source."""

    title: str | None = None


def run(args: argparse.Namespace) -> int:
    """``scaling report``."""
    source, asked = read(Source, args), read(Options, args)
    how = fit_options(source, args)
    options, output = how.fit, REPORT.path(args.output)
    table = table_of(source)
    found = Findings(
        table,
        fits=[fit_of(table, options)],
        curves=curves_of(source),
        expected=_expected(table, options),
        isoflop=_minima(table),
        holdout=_held_out(table, options, how.hold_out),
        level=options.level,
    )
    path = write_report(
        output,
        found,
        title=asked.title or f"Scaling laws of {Path(source.name).stem}",
        how_to_run=command(source, how, output, asked.title),
    )
    note(f"written to {path}")
    return 0


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


def command(source: Source, how: Kept, output: Path, title: str | None) -> str:
    """The command that makes the same report."""
    name, *said = words_of(source)
    words = ["scaling", "report", name, "-o", str(output), *said]
    words += ["--title", title] if title is not None else []
    words += flags(how.fit)
    return shlex.join(words + (["--hold-out", str(how.hold_out)] if how.hold_out else []))
