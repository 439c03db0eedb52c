"""The command ``scaling chain``: a downstream metric by way of a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.commands.loading import table_of
from analysis.commands.options import Source, read
from analysis.forecasts import chain
from analysis.wording import span
from scaling.base import print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd


@dataclass(frozen=True)
class Options:
    """The columns of both steps, the point, and how intervals are drawn.

    Raises
    ------
    ValueError
        If the metric or the point is missing.
    """

    metric: str | None = None
    by: str | None = None
    law: str = "chinchilla"
    num_params: float | None = None
    num_tokens: float | None = None
    bootstrap: int = 300
    level: float = 0.9
    seed: int = 0
    json: bool = False

    def __post_init__(self) -> None:
        if self.metric is None:
            raise ValueError("a chain ends in a metric: name its column, as in --metric accuracy")
        if self.num_params is None or self.num_tokens is None:
            raise ValueError("a chain predicts at one size: give -N and -D, as in -N 7e9 -D 4e12")


def run(args: argparse.Namespace) -> int:
    """``scaling chain``."""
    source, asked = read(Source, args), read(Options, args)
    table = table_of(source)
    for name in (asked.metric, asked.by):
        if name is not None and name not in table.columns:
            raise ValueError(f"no column {name!r}; the table has {', '.join(map(str, table))}")
    parts = table.groupby(asked.by, sort=False) if asked.by else [("", table)]
    found = [_predicted(str(name), part.reset_index(drop=True), asked) for name, part in parts]
    if asked.json:
        print_json(found)
        return 0
    percent = f"{100 * asked.level:g} %"
    rows = [
        (one["group"], f"{one['loss']:.4f}", f"{one['metric']:.4f}", span(one["metric_ci"]),
         one["status"])
        for one in found
    ]  # fmt: skip
    header = (asked.by or "", "loss", str(asked.metric), percent, "status")
    print_table(f"{asked.metric} by way of the loss, {asked.law} then sigmoid", header, rows)
    return 0


def _predicted(group: str, part: pd.DataFrame, asked: Options) -> dict[str, Any]:
    """What both steps say of one group."""
    steps = chain(
        part, "loss", str(asked.metric), first=asked.law, bootstrap=asked.bootstrap, seed=asked.seed
    )
    at = {"num_params": np.array([asked.num_params]), "num_tokens": np.array([asked.num_tokens])}
    low, high = steps.predict_ci(at, asked.level, asked.seed)
    return {
        "group": group,
        "loss": float(steps.first.predict(at)[0]),
        "metric": float(steps.predict(at)[0]),
        "metric_ci": (float(low[0]), float(high[0])),
        "n_runs": steps.second.n_runs,
        "params": {"loss": steps.first.params, "metric": steps.second.params},
        "status": steps.status,
    }
