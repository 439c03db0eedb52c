"""The command ``scaling next``: the runs to do next, as a table and as a sweep file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.commands.loading import Family, cost_of, family_of, fit_of, table_of
from analysis.commands.options import SWEEP, FitOptions, Source, output_of, read
from analysis.compute import (
    BY_FORECAST,
    AsFitted,
    Cost,
    NextRuns,
    next_runs,
    plan,
    settings,
    sweep_text,
)
from analysis.forecasts import Forecast, forecast_of
from analysis.tables import load_specs
from analysis.wording import count
from scaling.base import NoAnswerError, format_value, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd


@dataclass(frozen=True)
class Options:
    """What the new runs are for and what they may cost."""

    flops: float
    target: str = "num_params"
    at: float | None = None
    runs: int = 20
    reach: float = 16.0
    cost: float | None = None
    trust_law: bool = False
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling next``: the runs that make a number most certain for a budget."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, SWEEP)
    if output and any("program" in spec for spec in load_specs(source.name, **source.kept)):
        raise ValueError(
            f"-o {output}: these runs are a program's, whose counts stand in its own sweep file "
            "alone: take that file, with runs: of the sizes shown in place of its shape"
        )
    optimum = replace(read(FitOptions, args), bootstrap=0)  # its curvature says what is uncertain
    table = table_of(source)
    fitted = fit_of(table, optimum)
    family = family_of(source)
    cost = cost_of(table, family, [asked.flops], asked.cost)
    foretold = forecast_of(fitted, table) if asked.target in BY_FORECAST else None
    found = next_runs(
        fitted,
        asked.flops,
        asked.target,
        expected=AsFitted(fitted) if asked.trust_law else foretold,
        at=asked.at,
        cost=cost,
        most=asked.runs,
        reach=asked.reach,
    )
    if output:
        _write(output, source, table, found, family)
    if not fitted.identified:
        note(f"fit: {fitted.status}")
    if found.needed:
        paid = (
            f"not paid for: {'; '.join(found.unpaid)}; raise --flops"
            if found.unpaid
            else "the cheapest such runs are among these"
        )
        note(
            f"what would identify the law: {'; '.join(found.needed)}; {paid}; until such runs are "
            "done the standard errors say little"
        )
    expected = None if foretold is None else _expected(foretold, found, cost)
    if asked.json:
        print_json({**found.to_dict(), "forecast": expected})
        return 0
    rows = [(count(x.num_params), count(x.num_tokens), x.flops, x.seeds) for x in found.runs]
    print_table(f"runs for {found.flops:.4g} FLOPs", ("N", "D", "flops, each", "seeds"), rows)
    before, after = found.errors
    print(
        f"standard error of {found.what}: {before} now, {after} with these runs, {found.supposed} "
        f"(noise of a run {100 * found.noise:.2g} %)"
    )
    if expected is not None:
        value, (low, high) = expected["value"], expected["ci"]
        print(
            f"forecast of {found.what}, which does not take the law for true: "
            f"{format_value(value)}, 90 % {format_value(low)} to {format_value(high)}"
        )
    return 0


def _expected(foretold: Forecast, found: NextRuns, cost: Cost) -> dict[str, Any] | None:
    """What the forecast says of the target today; None of what is no forecast's to say."""
    if found.at is None:
        return None
    try:
        [best] = plan(foretold, [found.at], cost=cost)
    except NoAnswerError as error:
        note(f"no forecast: {error}")
        return None
    values = best.to_dict()
    return {"value": values[found.target], "ci": list(values[f"{found.target}_ci"])}


def _write(
    path: Path, source: Source, table: pd.DataFrame, found: NextRuns, family: Family | None
) -> None:
    """Write proposed runs as a sweep file."""
    specs = load_specs(source.name, **source.kept)
    known = settings(specs) if specs and family is not None else None
    seeds = table["seed"].max() if "seed" in table.columns else None
    name, options = (family.name, family.options) if family is not None else (None, None)
    first_seed = 0 if seeds is None or seeds != seeds else int(seeds) + 1
    text = sweep_text(found, path.stem, name, options, known, first_seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    note(f"written to {path}; scaling sweep {path} previews it")
