"""The command ``scaling backtest``: fits on the small, predicts the large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.commands.loading import estimand_of, law_of, require, response_of, table_of
from analysis.commands.options import ForecastOptions, Source, changed, read
from analysis.forecasts import Backtest
from analysis.forecasts import backtest as run_backtest
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

_OF_DRAWS = ("bootstrap", "resample", "cluster", "level")
_OF_A_FIT = ("checklist", "keep", "latex")
MOST = 40
"""Predictions that are listed; of more only ``--json`` has all."""


@dataclass(frozen=True)
class Options(ForecastOptions):
    """What is predicted by what, by the law that a forecast is asked for."""

    by: str = ""
    train_col: str | None = None
    within_runs: bool = False
    checklist: bool = False
    keep: bool = False
    latex: bool = False
    json: bool = False


def backtest_of(table: pd.DataFrame, asked: Options) -> Backtest:
    """The backtest that was asked for."""
    law = None if asked.is_auto else law_of(table, asked)
    return run_backtest(
        table,
        law=law or "auto",
        y_col=None if law is None else response_of(law, table),
        by=[name.strip() for name in asked.by.split(",") if name.strip()],
        x_col=asked.x_col,
        train_col=asked.train_col,
        estimand=estimand_of(asked),
        within_runs=asked.within_runs,
        seed=asked.seed,
    )


def run(args: argparse.Namespace) -> int:
    """``scaling backtest``."""
    source, asked = read(Source, args), read(Options, args)
    for name in changed(asked):
        if name in _OF_DRAWS:
            note(f"--{name} is of a law's own draws (scaling fit); these intervals are 90 % of the "
                 "forecast's")  # fmt: skip
        if name in _OF_A_FIT:
            note(f"--{name} is of one fit (scaling fit); a backtest makes several and keeps none")
    table = table_of(source)
    if asked.law == "auto":
        require(table, "loss")
    values = backtest_of(table, asked).to_dict()
    if asked.json:
        print_json(values)
        return 0
    for line in dict.fromkeys(g["rows_together"] for g in values["groups"]):
        if line:
            note(line)
    _print_predictions(values["groups"])
    has_log = values["mean_rmse_log"] == values["mean_rmse_log"]  # not of losses below 0
    rmse, of = ("rmse_log", "log loss") if has_log else ("rmse", "loss")
    rows = [
        (g["key"] or "all", g["law"] if g["status"] == "ok" else g["status"], g["n_train"],
         g["n_held_out"], g["n_test"], g[rmse], g["coverage_90"], g["interval_score"], g["crps"])
        for g in values["groups"]
    ]  # fmt: skip
    header = (
        "group", "law", "fitted", "held out", "predictions", f"RMSE of {of}",
        "in 90 % interval", "interval score", "CRPS",
    )  # fmt: skip
    print_table(f"{source.name}: backtest", header, rows)
    mean = sum(g[rmse] for g in values["groups"] if g["n_test"]) / sum(
        g["n_test"] > 0 for g in values["groups"]
    )
    print(
        f"mean RMSE of {of} {mean:.4g}; coverage of the 90 % intervals "
        f"{values['coverage_90']:.3g}; interval score {values['interval_score']:.4g}; "
        f"CRPS {values['crps']:.4g}"
    )
    return 0


def _print_predictions(groups: list[dict[str, Any]]) -> None:
    """What was predicted of each run, beside what was measured."""
    rows = [
        (group["key"], split["n_train"], line["name"], f"{line['beyond']:.3g} x",
         line["predicted"], line["low"], line["high"], line["actual"],
         "inside" if line["low"] <= line["actual"] <= line["high"] else "outside")
        for group in groups
        for split in group["splits"]
        for line in split["predictions"]
    ]  # fmt: skip
    if len(rows) > MOST:
        note(f"{len(rows)} predictions, all of them in --json")
        return
    header = (
        "group", "fitted", "run", "size of the largest fitted", "predicted", "90 % from", "to",
        "measured", "measured is",
    )  # fmt: skip
    print_table("predictions", header, rows)
