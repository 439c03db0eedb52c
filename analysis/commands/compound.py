"""The command ``scaling compound``: the coefficients of a search, the axes at equal FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.designs import (
    AxisComparison,
    Coefficients,
    compare_axes,
    has_search,
    pick_coefficients,
)
from analysis.plotting import CoefficientSurface, axes_at_equal_flops, save_all
from analysis.wording import count, span
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from analysis.plotting import Picture


@dataclass(frozen=True)
class Options:
    """What is compared, and how its intervals are drawn."""

    metric: str | None = None
    draws: int = 2000
    level: float = 0.9
    seed: int = 0
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling compound``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    table = table_of(source)
    picked, compared = _found(table, asked)
    if output:
        for path in save_all(_drawn(table, picked, compared), output):
            note(f"written to {path}")
    if asked.json:
        found = {"coefficients": picked, "axes": compared}
        values = {name: value.to_dict() for name, value in found.items() if value}
        print_json({**values, "notes": table.attrs["notes"]})
        return 0
    if picked:
        _print_coefficients(picked)
    if compared:
        _print_axes(compared)
    return 0


def figures(source: Source, asked: Options) -> dict[str, Picture | CoefficientSurface]:
    """The figures by name."""
    table = table_of(source)
    return _drawn(table, *_found(table, asked))


def _found(
    table: pd.DataFrame, asked: Options
) -> tuple[Coefficients | None, AxisComparison | None]:
    scaled = "axis" in table.columns and table["axis"].isin(["depth", "width", "resolution"]).any()
    searched = has_search(table)
    if not scaled and not searched:
        raise ValueError(
            "the runs are of no compound-scaling sweep: the column axis names none of depth, "
            "width, resolution and search (sweep kinds single_axis, coefficient_search)"
        )
    shared: dict[str, Any] = {
        "metric": asked.metric, "draws": asked.draws, "level": asked.level, "seed": asked.seed
    }  # fmt: skip
    return (
        pick_coefficients(table, **shared) if searched else None,
        compare_axes(table, **shared) if scaled else None,
    )


def _drawn(
    table: pd.DataFrame, picked: Coefficients | None, compared: AxisComparison | None
) -> dict[str, Picture | CoefficientSurface]:
    drawn: dict[str, Picture | CoefficientSurface] = {}
    if picked:
        drawn["coefficients"] = CoefficientSurface(table, picked)
    if compared:
        drawn["axes"] = axes_at_equal_flops(table, compared)
    return drawn


def _print_coefficients(found: Coefficients) -> None:
    percent = f"{100 * found.level:g} %"
    rows = [
        (name, found.params[name], span(found.ci[name], ".3f"), found.best_cell[name], paper)
        for name, paper in zip(found.params, (1.2, 1.1, 1.15), strict=True)
    ]
    title = f"coefficients at {found.factor:.3g} times the FLOPs"
    print_table(title, ("", "surface", percent, "best cell", "Tan & Le 2019"), rows)
    print(
        f"{found.metric} {found.value:.4g} at the surface's lowest point, {found.gain:.3f} times "
        f"that of the paper's coefficients ({percent}: {span(found.gain_ci, '.3f')}); "
        f"{found.n_cells} cells, {found.n_runs} runs, R2 {found.r2:.3f}; status: {found.status}"
    )


def _print_axes(found: AxisComparison) -> None:
    percent = f"{100 * found.level:g} %"
    rows = [
        (f"{e.flops_ratio:g}", count(e.flops_forward), e.axis, e.value, span(e.ci), e.ratio,
         span(e.ratio_ci, ".3f"))
        for e in found.equal_flops
    ]  # fmt: skip
    header = ("FLOPs x", "FLOPs", "axis", found.metric, percent, "over compound", percent)
    print_table(f"{found.metric} at equal FLOPs", header, rows)
    said = {True: "yes", False: "not seen", None: ""}
    shapes = [
        (c.axis, c.n_runs, f"{c.max_ratio:.3g}", c.slope_small, c.slope_large,
         span(c.slope_large_ci, ".3f"), said[c.saturates])
        for c in found.curves
    ]  # fmt: skip
    header = ("axis", "runs", "up to x", "slope at 1", "slope at the end", percent, "saturates")
    print_table(f"d ln {found.metric} / d ln FLOPs", header, shapes)
    print(f"R2 {found.r2:.3f}; status: {found.status}")
