"""The command ``scaling backtest``: fits on the small, predicts the large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.commands.loading import require, table_of
from analysis.commands.options import Source, read
from analysis.forecasts import Backtest
from analysis.forecasts import backtest as run_backtest
from analysis.laws import find_law
from scaling.base import print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd


@dataclass(frozen=True)
class Options:
    """What is predicted by what; ``law`` ``"auto"`` averages laws.

    Raises
    ------
    ValueError
        If the law is not known.
    """

    law: str = "auto"
    by: str = ""
    x_col: str | None = None
    train_col: str | None = None
    seed: int = 0
    json: bool = False

    def __post_init__(self) -> None:
        if self.law != "auto" and "=" not in self.law:
            find_law(self.law)


def backtest_of(table: pd.DataFrame, asked: Options) -> Backtest:
    """The backtest that was asked for."""
    return run_backtest(
        table,
        law=asked.law,
        by=[name.strip() for name in asked.by.split(",") if name.strip()],
        x_col=asked.x_col,
        train_col=asked.train_col,
        seed=asked.seed,
    )


def run(args: argparse.Namespace) -> int:
    """``scaling backtest``."""
    source, asked = read(Source, args), read(Options, args)
    table = table_of(source)
    if asked.law == "auto":
        require(table, "loss")
    values = backtest_of(table, asked).to_dict()
    if asked.json:
        print_json(values)
        return 0
    rows = [
        (g["key"] or "all", g["law"] if g["status"] == "ok" else g["status"], g["n_train"],
         g["n_test"], g["rmse_log"], g["coverage_90"])
        for g in values["groups"]
    ]  # fmt: skip
    header = ("group", "law", "fitted", "predicted", "RMSE of log loss", "in 90 % interval")
    print_table(f"{source.name}: backtest", header, rows)
    print(f"mean RMSE of log loss {values['mean_rmse_log']:.4g}; coverage of the 90 % intervals "
          f"{values['coverage_90']:.3g}")  # fmt: skip
    return 0
