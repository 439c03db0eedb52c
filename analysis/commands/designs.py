"""The commands on architectures: compound scaling, design spaces, and what models cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.designs import (
    HEADERS,
    AxisComparison,
    Coefficients,
    compare_axes,
    describe_spaces,
    has_search,
    pick_coefficients,
    table_rows,
)
from analysis.designs import pareto as find_frontier
from analysis.plotting import axes_at_equal_flops, coefficient_surface, parameters, save
from analysis.plotting import edf as distributions
from analysis.plotting import pareto as frontier_figure
from analysis.tables import PARAMETERS, load_designs, numbers, unusable, with_design
from analysis.wording import count, span
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.designs import Pareto, SpaceReport


def figures(args: argparse.Namespace) -> dict[str, Figure]:
    """The figures of ``args.kind``, one of ``compound``, ``edf`` and ``pareto``, by name."""
    if args.kind == "compound":
        table = table_of(args)
        return _draw_compound(table, *_compound(table, args))
    if args.kind == "edf":
        return _draw_edf(_edf(args))
    return _draw_pareto(_pareto(args))


def compound(args: argparse.Namespace) -> int:
    """``scaling compound``: the coefficients of a search, and the axes at equal FLOPs."""
    table = table_of(args)
    picked, compared = _compound(table, args)
    if args.output:
        save_all(_draw_compound(table, picked, compared), args.output)
    if args.json:
        found = {"coefficients": picked, "axes": compared}
        values = {name: value.to_dict() for name, value in found.items() if value}
        print_json({**values, "notes": table.attrs["notes"]})
        return 0
    if picked:
        _print_coefficients(picked)
    if compared:
        _print_axes(compared)
    return 0


def _compound(
    table: pd.DataFrame, args: argparse.Namespace
) -> tuple[Coefficients | None, AxisComparison | None]:
    options = {"metric": args.metric, "draws": args.draws, "level": args.level, "seed": args.seed}
    scaled = "axis" in table.columns and table["axis"].isin(["depth", "width", "resolution"]).any()
    if not scaled and not has_search(table):
        raise ValueError(
            "the runs are of no compound-scaling sweep: the column axis names none of depth, "
            "width, resolution and search (sweep kinds single_axis, coefficient_search)"
        )
    return (
        pick_coefficients(table, **options) if has_search(table) else None,
        compare_axes(table, **options) if scaled else None,
    )


def _draw_compound(
    table: pd.DataFrame, picked: Coefficients | None, compared: AxisComparison | None
) -> dict[str, Figure]:
    drawn = {}
    if picked:
        drawn["coefficients"] = coefficient_surface(table, picked)
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


def _edf(args: argparse.Namespace) -> SpaceReport:
    sources = {}
    for name, source in _spaces(args).items():
        args.source = source
        models = load_designs(source, root=args.root, tracking_uri=args.tracking_uri)
        sources[name] = with_design(table_of(args), models)
    asked = tuple(args.parameter or ())
    for name in asked:
        tables = [table for table in sources.values() if name in table.columns]
        if not tables:
            raise ValueError(f"--parameter {name}: no source has such a column")
        for table in tables:
            numbers(table[name], name, "--parameter: ")
    found = describe_spaces(
        sources, asked or PARAMETERS, metric=args.metric, draws=args.draws, level=args.level,
        seed=args.seed,
    )  # fmt: skip
    for name, table in sources.items():
        for line in unusable(table, found.metric):
            note(f"{name}: {line}" if len(sources) > 1 else line)
    return found


def _spaces(args: argparse.Namespace) -> dict[str, str]:
    """The sources by the name that each has in figures: its own, or as given if two share it."""
    given = [args.source, args.other] if args.other else [args.source]
    if len({Path(source).resolve() for source in given}) < len(given):
        raise ValueError(f"{args.source} is given twice: a comparison needs two sources")
    names = [Path(source).stem for source in given]
    return dict(zip(names if len(set(names)) == len(names) else given, given, strict=True))


def _draw_edf(found: SpaceReport) -> dict[str, Figure]:
    drawn = {"edf": distributions(found)}
    if found.parameters:
        drawn["parameters"] = parameters(found)
    return drawn


def edf(args: argparse.Namespace) -> int:
    """``scaling edf``: error distributions of design spaces."""
    found = _edf(args)
    if args.output:
        save_all(_draw_edf(found), args.output)
    if args.json:
        print_json(found.to_dict())
        return 0
    percent = f"{100 * args.level:g} %"
    rows = [
        (s.name, s.n_models, s.best, s.median, span(s.median_ci), s.mean, span(s.mean_ci))
        for s in found.spaces
    ]
    header = ("space", "models", "best", "median", percent, "mean", percent)
    print_table(f"distribution of {found.metric}", header, rows)
    tests = [
        (c.one, c.other, c.statistic, f"{c.p_value:.2g}", c.median_gap, span(c.median_gap_ci),
         c.better or "open")
        for c in found.comparisons
    ]  # fmt: skip
    if tests:
        header = ("space", "other", "KS distance", "p", "median gap", percent, "better")
        print_table("Kolmogorov-Smirnov", header, tests)
    best = [
        (p.space, p.parameter, p.low, p.middle, p.high, p.rank_correlation)
        for p in found.parameters
    ]
    if best:
        columns = ("space", "parameter", "95 % from", "median", "to", "rank correlation with error")
        print_table("values of the best models (empirical bootstrap)", columns, best)
    return 0


def _pareto(args: argparse.Namespace) -> Pareto:
    table = table_of(args)
    found = find_frontier(table, metric=args.metric, watts=args.watts, pue=args.pue)
    for line in (*unusable(table, found.metric), *found.notes):
        note(line)
    return found


def _draw_pareto(found: Pareto) -> dict[str, Figure]:
    return {"pareto": frontier_figure(found)}


def pareto(args: argparse.Namespace) -> int:
    """``scaling pareto``: how good each model is for what it costs."""
    found = _pareto(args)
    if args.output:
        save_all(_draw_pareto(found), args.output)
    if args.json:
        print_json(found.to_dict())
        return 0
    metric = "error (%)" if found.metric == "error" else found.metric
    header = ("family", "model", *(HEADERS[cost] for cost in found.costs), metric)
    title = f"{args.source}: {len(found.models)} models, * on the frontier in this cost"
    print_table(title, header, table_rows(found))
    said = {
        "seconds_per_example": "training: measured, with held-out evaluation",
        "inference_seconds": "inference: measured on held-out data in batches of 64",
    }
    lines = [text for cost, text in said.items() if cost in found.costs]
    if "kwh_estimated" in found.costs:
        watts = "rated power of the device" if args.watts is None else f"{args.watts:g} W"
        lines.append(
            f"energy: estimated, seconds of training x {watts} x PUE {args.pue:g}, as if a run "
            "had its device to itself"
        )
    print("\n".join(lines))
    return 0


def save_all(drawn: dict[str, Figure], output: str) -> None:
    """One figure goes to ``output``; of several, each name is put before the suffix."""
    path = Path(output)
    for name, figure in drawn.items():
        to = path if len(drawn) == 1 else path.with_stem(f"{path.stem}-{name}")
        save(figure, to)
        note(f"written to {to}")
