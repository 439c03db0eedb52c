"""The command ``scaling plot``: one figure, for a paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import plotting
from analysis.commands import backtest, compound, edf, isoflop, pareto, ranks, search
from analysis.commands.forecasting import forecast_for
from analysis.commands.loading import curves_of, fit_of, table_of
from analysis.commands.options import FIGURE, FitOptions, ForecastOptions, Source, read
from analysis.compute import check_law, cost_of, crossings, next_budgets
from analysis.compute import isoflop as find_minima
from analysis.compute import plan as make_plan
from analysis.plotting import Look, Picture
from analysis.tables import usable, write_table
from analysis.wording import count
from scaling.base import note, refuse_unknown

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from analysis.fits import Fit


@dataclass(frozen=True)
class Groups(FitOptions):
    """A fit, or one for each value of the column ``by``.

    Raises
    ------
    ValueError
        If the laws of the groups are not in one variable, and as for a fit.
    """

    by: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by and not self.x_col:
            raise ValueError("--by needs a law in one variable: name its column with --x-col")


@dataclass(frozen=True)
class Options:
    """How the figure is drawn, and whether its numbers are written beside it.

    Raises
    ------
    ValueError
        If a style, width or size of text is not one.
    """

    style: str = "paper"
    width: str | None = None
    font_size: float | None = None
    data: bool = False

    def __post_init__(self) -> None:
        self.look  # noqa: B018  (checks them before anything is computed)

    @property
    def look(self) -> Look:
        """Style, width and size of text."""
        width = None if self.width is None else plotting.width_of(self.width)
        return Look(self.style, width, self.font_size)


def run(args: argparse.Namespace) -> int:
    """``scaling plot``."""
    source, output = read(Source, args), FIGURE.path(args.output)
    if args.kind not in KINDS:
        refuse_unknown(args.kind, KINDS, "kind of figure")
    asked = read(Options, args)
    options, draw = KINDS[args.kind]
    drawn = draw(source, read(options, args))
    figures = {args.kind: drawn} if isinstance(drawn, Picture) else drawn
    written = plotting.save_all(figures, output, asked.look)
    for path, figure in zip(written, figures.values(), strict=True):
        note(f"written to {path}")
        if asked.data:
            numbers = path.with_suffix(".csv")
            write_table(figure.data(), numbers)
            note(f"its numbers: {numbers}")
    return 0


def _frontier(source: Source, asked: FitOptions) -> Picture:
    table = table_of(source)
    return plotting.frontier(table, curves_of(source), _fit_or_none(table, asked))


def _curves(source: Source, asked: FitOptions) -> Picture:
    table, curves = table_of(source), curves_of(source)
    if curves is None or not len(curves):
        raise ValueError(
            f"{source.name} has no learning curves, only final losses: plot the kind frontier"
        )
    return plotting.curves(table, curves)


def _context(source: Source, asked: FitOptions) -> Picture:
    return plotting.context(table_of(source))


def _fit_or_none(table: pd.DataFrame, asked: FitOptions) -> Fit | None:
    """The fit that was asked for, where the table allows it."""
    try:
        return fit_of(table, asked)
    except ValueError as error:
        note(f"drawn without a law: {error}")
        return None


def _scaling(source: Source, asked: Groups) -> Picture:
    table = table_of(source)
    if asked.by:
        return plotting.compared(_groups(table, asked, asked.by))
    return plotting.scaling(table, fit_of(table, asked))


def _groups(table: pd.DataFrame, asked: Groups, by: str) -> dict[str, tuple[pd.DataFrame, Fit]]:
    """A law in one variable for each value of a column; says where each two laws cross."""
    if by not in table.columns:
        refuse_unknown(by, map(str, table.columns), "column")
    found = {_named(value): (rows, fit_of(rows, asked)) for value, rows in table.groupby(by)}
    if not found:
        raise ValueError(f"--by {by}: no row has a value there; check --where")
    x = usable(table, str(asked.x_col))[asked.x_col]
    low, high = float(x.min()), 3 * float(x.max())
    for (one, (_, first)), (other, (_, second)) in combinations(found.items(), 2):
        crossed = crossings(first, second, low, high)
        where = f"at {', '.join(map(count, crossed))}" if crossed else "nowhere"
        note(f"{one} and {other} cross {where} between {count(low)} and {count(high)}")
    return found


def _named(value: Any) -> str:
    """A column's value as a legend says it: a whole number without its point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _isoflop(source: Source, asked: isoflop.Options) -> Picture:
    table = table_of(source)
    return plotting.isoflop(table, find_minima(table, method=asked.method))


def _residuals(source: Source, asked: FitOptions) -> Picture:
    table = table_of(source)
    return plotting.residuals(table, fit_of(table, asked))


def _plan(source: Source, asked: ForecastOptions) -> Picture:
    table = table_of(source)
    if not asked.is_auto:
        law = asked.law_for(table)
        check_law(law.name, law.inputs, law.output)
    expected = forecast_for(table, asked)
    budgets = plan_range(table)
    return plotting.plan(
        make_plan(expected, budgets, cost=cost_of(table), level=asked.level), table
    )


def plan_range(table: pd.DataFrame) -> list[float]:
    """Budgets from the smallest run's compute to 1000 times the largest's, for a figure."""
    high = next_budgets(table)[-1]
    low = float(usable(table, "flops")["flops"].min())
    return [float(c) for c in np.geomspace(low, high, 30)]


def _profile(source: Source, asked: FitOptions) -> Picture:
    return plotting.profile(fit_of(table_of(source), asked), asked.level)


def _cloud(source: Source, asked: FitOptions) -> Picture:
    return plotting.cloud(fit_of(table_of(source), asked), asked.level)


def _funnel(source: Source, asked: backtest.Options) -> Picture:
    return plotting.funnel(backtest.backtest_of(table_of(source), asked))


KINDS: dict[str, tuple[type[Any], Callable[[Source, Any], Picture | dict[str, Any]]]] = {
    "frontier": (FitOptions, _frontier),
    "curves": (FitOptions, _curves),
    "context": (FitOptions, _context),
    "scaling": (Groups, _scaling),
    "isoflop": (isoflop.Options, _isoflop),
    "residuals": (FitOptions, _residuals),
    "plan": (ForecastOptions, _plan),
    "profile": (FitOptions, _profile),
    "cloud": (FitOptions, _cloud),
    "funnel": (backtest.Options, _funnel),
    "compound": (compound.Options, compound.figures),
    "edf": (edf.Options, edf.figures),
    "pareto": (pareto.Options, pareto.figures),
    "ranks": (ranks.Options, ranks.figure),
    "search": (search.Options, search.figure),
}
"""What a figure is asked by, and the function that draws it."""
