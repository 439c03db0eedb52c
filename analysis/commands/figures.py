"""The commands that draw: ``scaling plot`` and ``scaling report``."""

from __future__ import annotations

import argparse
import shlex
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis import plotting
from analysis.cli import DESIGN_KINDS
from analysis.commands.designs import figures, save_all
from analysis.commands.loading import NAMED, curves_of, fit_of, fit_or_none, table_of
from analysis.compute import IsoFlop, crossings, next_budgets
from analysis.compute import cost_of as run_cost
from analysis.compute import isoflop as find_minima
from analysis.compute import plan as make_plan
from analysis.forecasts import backtest
from analysis.report import write_report
from analysis.tables import usable
from analysis.wording import count
from scaling.base import NoAnswerError, note, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit
    from analysis.forecasts import Backtest


def plot(args: argparse.Namespace) -> int:
    """``scaling plot``: one figure."""
    path = Path(args.output)
    if path.suffix.lower().removeprefix(".") not in plotting.FORMATS:
        raise ValueError(f"-o {path}: a figure is written as .{', .'.join(plotting.FORMATS)}")
    if args.kind in DESIGN_KINDS:
        save_all(figures(args), args.output)
        return 0
    table = table_of(args)
    if args.kind in ("frontier", "curves"):
        figure = plotting.frontier(table, _curves(args), fit_or_none(args, table))
    elif args.kind == "scaling" and args.by:
        figure = plotting.compared(_groups(args, table))
    elif args.kind == "scaling":
        figure = plotting.scaling(table, fit_of(args, table))
    elif args.kind == "isoflop":
        figure = plotting.isoflop(table, find_minima(table, method=args.method))
    elif args.kind == "residuals":
        figure = plotting.residuals(table, fit_of(args, table))
    elif args.kind == "profile":
        figure = plotting.profile(fit_of(args, table), args.level)
    elif args.kind == "cloud":
        figure = plotting.cloud(fit_of(args, table), args.level)
    elif args.kind == "funnel":
        figure = plotting.funnel(_backtest(args, table))
    else:
        allocations = make_plan(
            fit_of(args, table), plan_range(table), cost=run_cost(table), level=args.level
        )
        figure = plotting.plan(allocations, table)
    plotting.save(figure, path)
    note(f"written to {path}")
    return 0


def _curves(args: argparse.Namespace) -> pd.DataFrame | None:
    """Learning curves where there are some; a figure of curves needs them."""
    curves = curves_of(args)
    if args.kind == "curves" and (curves is None or not len(curves)):
        raise ValueError(
            f"{args.source} has no learning curves, only final losses: plot the kind frontier"
        )
    return curves


def _backtest(args: argparse.Namespace, table: pd.DataFrame) -> Backtest:
    by = args.by.split(",") if args.by else []
    return backtest(
        table,
        law=args.law or "auto",
        by=by,
        x_col=args.x_col,
        train_col=args.train_col,
        seed=args.seed,
    )


def _groups(args: argparse.Namespace, table: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, Fit]]:
    """A law in one variable for each value of a column; says where each two laws cross."""
    if not args.x_col:
        raise ValueError("--by needs a law in one variable: name its column with --x-col")
    if args.by not in table.columns:
        refuse_unknown(args.by, map(str, table.columns), "column")
    found = {str(value): (rows, fit_of(args, rows)) for value, rows in table.groupby(args.by)}
    if not found:
        raise ValueError(f"--by {args.by}: no row has a value there; check --where")
    x = usable(table, args.x_col)[args.x_col]
    low, high = float(x.min()), 3 * float(x.max())
    for (one, (_, first)), (other, (_, second)) in combinations(found.items(), 2):
        crossed = crossings(first, second, low, high)
        where = f"at {', '.join(map(count, crossed))}" if crossed else "nowhere"
        note(f"{one} and {other} cross {where} between {count(low)} and {count(high)}")
    return found


def plan_range(table: pd.DataFrame) -> list[float]:
    """Budgets from the smallest run's compute to 1000 times the largest's, for a figure."""
    high = next_budgets(table)[-1]
    low = float(usable(table, "flops")["flops"].min())
    return [float(c) for c in np.geomspace(low, high, 30)]


def report(args: argparse.Namespace) -> int:
    """``scaling report``: one HTML file."""
    table = table_of(args)
    fitted = fit_of(args, table)
    path = write_report(
        Path(args.output),
        table,
        curves=curves_of(args),
        fits=[fitted],
        isoflop=_minima(table),
        level=args.level,
        title=args.title or f"Scaling laws of {Path(args.source).stem}",
        how_to_run=_again(args),
    )
    note(f"written to {path}")
    return 0


def _minima(table: pd.DataFrame) -> IsoFlop | None:
    """Iso-FLOP minima, where the runs are of such a design and it succeeded."""
    try:
        return find_minima(table)
    except (ValueError, NoAnswerError):
        return None


def _again(args: argparse.Namespace) -> str:
    """The command that makes the same report."""
    words = ["scaling", "report", args.source, "-o", args.output]
    flags = {flag: f"col_{name}" for flag, name in NAMED}
    flags |= {
        f"--{name.replace('_', '-')}": name
        for name in ("root", "tracking_uri", "where", "law", "loss_fn", "delta", "asymmetry",
                     "space", "weights", "x_col", "bootstrap", "resample", "cluster", "level",
                     "seed", "title")
    }  # fmt: skip
    for flag, name in flags.items():
        value = getattr(args, name)
        if value != args.parser.get_default(name):
            words += [flag, str(value)]
    for name, (low, high) in args.start:
        words += ["--start", f"{name}={low},{high}"]
    for name in args.signed:
        words += ["--signed", name]
    return shlex.join(words)
