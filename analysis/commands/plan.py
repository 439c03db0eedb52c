"""The command ``scaling plan``: N*, D* and loss at budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis.commands.forecasting import forecast_for
from analysis.commands.loading import Family, cost_of, family_of, named_family, table_of
from analysis.commands.options import TABLE, ForecastOptions, Source, output_of, read
from analysis.compute import Allocation, Architecture, architectures, check_law, next_budgets
from analysis.compute import plan as make_plan
from analysis.forecasts import Forecast
from analysis.tables import write_table
from analysis.wording import count, counts, span
from scaling.base import NoAnswerError, note, pfs_days, print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """The budgets, what they pay for, and what of the best model is given."""

    flops: tuple[float, ...] = ()
    cost: float | None = None
    inference_tokens: float = 0.0
    unique_tokens: float | None = None
    family: str | None = None
    settings: tuple[str, ...] = ()
    num_params: float | None = None
    num_tokens: float | None = None
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling plan``."""
    source, options, asked = read(Source, args), read(ForecastOptions, args), read(Options, args)
    output = output_of(args, TABLE)
    family = named_family(asked.family, asked.settings)
    table = table_of(source)
    if not options.is_auto:
        law = options.law_for(table)
        check_law(law.name, law.inputs, law.output)
    expected = forecast_for(table, options)
    budgets = asked.flops or next_budgets(table)
    family = family or family_of(source)
    allocations = make_plan(
        expected,
        budgets,
        cost=cost_of(table, family, budgets, asked.cost),
        inference_tokens=asked.inference_tokens,
        unique_tokens=asked.unique_tokens,
        num_params=asked.num_params,
        num_tokens=asked.num_tokens,
        level=options.level,
    )
    real = [_near(expected, a, family) for a in allocations]
    if output:
        write_table(pd.json_normalize([a.to_dict() for a in allocations]), output)
        note(f"written to {output}")
    if asked.json:
        print_json(
            [
                {**a.to_dict(), "architectures": [x.to_dict() for x in near]}
                for a, near in zip(allocations, real, strict=True)
            ]
        )
        return 0
    _print_plan(allocations, expected, options.level)
    _print_architectures(allocations, real)
    return 0


def _near(expected: Forecast, best: Allocation, family: Family | None) -> list[Architecture]:
    """The real models next to a best size; none, with a note, where there are none."""
    if family is None:
        return []
    try:
        return architectures(expected, best, family.name, family.options)
    except NoAnswerError as error:
        note(str(error))
        return []


def _print_architectures(allocations: Sequence[Allocation], real: list[list[Architecture]]) -> None:
    """The real models next to each best size; fields that all of them share are left out."""
    configs = [x.config for near in real for x in near]
    if not configs:
        return
    varied = [k for k in configs[0] if any(c[k] != configs[0][k] for c in configs)]
    rows = [
        (a.flops, x.side, ", ".join(f"{k} {x.config[k]}" for k in varied), count(x.num_params),
         count(x.num_tokens), x.flops_per_token, f"{x.loss:.4f}",
         f"{100 * (x.loss_ratio - 1):+.3f} %")
        for a, near in zip(allocations, real, strict=True)
        for x in near
    ]  # fmt: skip
    header = ("flops", "size", "model", "N", "D", "FLOPs/token", "loss", "of the best")
    print_table("real architectures next to N*", header, rows)


def _print_plan(allocations: Sequence[Allocation], expected: Forecast, level: float) -> None:
    """The plan as a table on stdout."""
    rows = [
        (a.flops, pfs_days(a.flops), count(a.num_params), counts(a.num_params_ci),
         count(a.num_tokens), counts(a.num_tokens_ci), f"{a.loss:.4f}", span(a.loss_ci),
         counts(a.num_params_range), a.status)
        for a in allocations
    ]  # fmt: skip
    percent = f"{100 * level:g} %"
    header = ("flops", "pfs-days", "N*", percent, "D*", percent, "loss", percent,
              "N within 0.1 %", "status")  # fmt: skip
    print_table(f"plan by {expected.name}", header, rows)
    print(expected.says)
