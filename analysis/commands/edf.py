"""The command ``scaling edf``: error distributions of design spaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.designs import SpaceReport, describe_spaces
from analysis.plotting import Picture, parameters, save_all
from analysis.plotting import edf as distributions
from analysis.tables import PARAMETERS, load_designs, numbers, unusable, with_design
from analysis.wording import span
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """What the space is compared with, by which parameters, and how intervals are drawn."""

    other: str | None = None
    parameter: tuple[str, ...] = ()
    metric: str | None = None
    draws: int = 2000
    level: float = 0.9
    seed: int = 0
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling edf``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    found = _report(source, asked)
    if output:
        for path in save_all(_drawn(found), output):
            note(f"written to {path}")
    if asked.json:
        print_json(found.to_dict())
        return 0
    _print_report(found, asked.level)
    return 0


def figures(source: Source, asked: Options) -> dict[str, Picture]:
    """The figures by name."""
    return _drawn(_report(source, asked))


def _drawn(found: SpaceReport) -> dict[str, Picture]:
    drawn = {"edf": distributions(found)}
    if found.parameters:
        drawn["parameters"] = parameters(found)
    return drawn


def _report(source: Source, asked: Options) -> SpaceReport:
    spaces = {}
    for name, space in _spaces(source, asked.other).items():
        models = load_designs(space.name, **space.kept)
        spaces[name] = with_design(table_of(space), models)
    for name in asked.parameter:
        tables = [table for table in spaces.values() if name in table.columns]
        if not tables:
            raise ValueError(f"--parameter {name}: no source has such a column")
        for table in tables:
            numbers(table[name], name, "--parameter: ")
    found = describe_spaces(
        spaces, asked.parameter or PARAMETERS, metric=asked.metric, draws=asked.draws,
        level=asked.level, seed=asked.seed,
    )  # fmt: skip
    for name, table in spaces.items():
        for line in unusable(table, found.metric):
            note(f"{name}: {line}" if len(spaces) > 1 else line)
    return found


def _spaces(source: Source, other: str | None) -> dict[str, Source]:
    """The sources by the name that each has in figures: its own, or as given if two share it."""
    given = [source.name, other] if other else [source.name]
    if len({Path(name).resolve() for name in given}) < len(given):
        raise ValueError(f"{source.name} is given twice: a comparison needs two sources")
    stems = [Path(name).stem for name in given]
    names = stems if len(set(stems)) == len(given) else given
    return {name: replace(source, name=each) for name, each in zip(names, given, strict=True)}


def _print_report(found: SpaceReport, level: float) -> None:
    """The distributions, their tests and the best values as tables."""
    percent = f"{100 * level:g} %"
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
