"""Plans from the lower half of a table's budgets, beside the minima measured at the others.

A minimum is that of a cubic in ln N through the seven sizes nearest to the lowest loss (a
parabola through fewer than six), if it lies among them and the lowest loss is not that of the
smallest or largest size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from tables import IN_VIEW, PLANE

from analysis import forecast
from analysis.compute import plan
from analysis.compute.approach2_budgets import Budget, budgets_of
from analysis.forecasts.scores import interval_score
from scaling.base import NoAnswerError

LEVEL = 0.9
SIZES, BUDGETS = 4, 4
"""Fewest sizes of a budget, and fewest budgets of a table, that is tested."""


def plan_tests(name: str, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """One record a larger budget of a table; none of a table without iso-FLOP budgets."""
    if not {"flops", "loss", *PLANE} <= set(runs):
        return []
    return [{"table": name, "in_view": name in IN_VIEW, **record} for record in _records(runs)]


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    budgets = [b for b in budgets_of(table) if len(b.log_n) >= SIZES and b.span < 1.05]
    half = (len(budgets) + 1) // 2
    minima = [(budget, found) for budget in budgets[half:] if (found := minimum(budget))]
    if len(budgets) < BUDGETS or not minima:
        return
    top, above = budgets[half - 1].flops, budgets[half].flops
    expected = forecast(table[table["flops"] < (top * above) ** 0.5])
    for budget, measured in minima:
        about = {"flops": budget.flops, "beyond": budget.flops / top}
        try:
            found = plan(expected, [budget.flops], level=LEVEL)[0]
        except NoAnswerError as error:
            yield {**about, "status": str(error)}
            continue
        record: dict[str, Any] = {**about, "status": found.status}
        for name, y in zip(("num_params", "loss"), measured, strict=True):
            low, high = np.log(getattr(found, f"{name}_ci"))
            record[name] = {
                "error": float(np.log(getattr(found, name)) - y),
                "width": float(high - low),
                "held": bool(low <= y <= high),
                "interval_score": float(interval_score(low, high, y, LEVEL)),
            }
        yield record


def minimum(budget: Budget) -> tuple[float, float] | None:
    """ln N and ln loss of a budget's measured minimum; None without an interior one."""
    lowest = int(budget.log_loss.argmin())
    if lowest in (0, len(budget.log_n) - 1):
        return None
    near = slice(max(0, lowest - 3), lowest + 4)
    x, y = budget.log_n[near] - budget.log_n[lowest], budget.log_loss[near]
    curve = np.polynomial.Polynomial.fit(x, y, 2 if len(x) < 6 else 3)
    turns = curve.deriv().roots()
    turns = turns[np.isreal(turns)].real
    turns = turns[(curve.deriv(2)(turns) > 0) & (turns >= x.min()) & (turns <= x.max())]
    if not len(turns):
        return None
    best = float(turns[np.abs(turns).argmin()])
    return float(budget.log_n[lowest] + best), float(curve(best))


def plans_by_table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Per table: budgets, how far they lie, and means over them."""
    rows = []
    if not records:
        return pd.DataFrame()
    every = pd.DataFrame(records)
    for name, group in every.groupby("table", sort=False):
        row = {"table": name, "in_view": bool(group["in_view"].iloc[0]), "budgets": len(group),
               "beyond": float(group["beyond"].max())}  # fmt: skip
        for what in ("num_params", "loss"):
            each = pd.DataFrame(group[what].dropna().tolist())
            row[f"{what}_unanswered"] = len(group) - len(each)
            row[f"{what}_coverage"] = float(each["held"].mean())
            row[f"{what}_interval_score"] = float(each["interval_score"].mean())
            row[f"{what}_width"] = float(each["width"].mean())
            row[f"{what}_rmse"] = float(np.sqrt(np.mean(each["error"] ** 2)))
        rows.append(row)
    return pd.DataFrame(rows)
