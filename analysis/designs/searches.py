"""Strategies of search compared: the best loss so far against the FLOPs that a search has spent.

At equal FLOPs and over several seeds, as Li & Talwalkar 2019 (arXiv 1902.07638) ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.intervals import tails
from analysis.laws import Array
from analysis.tables import metric_of, usable

if TYPE_CHECKING:
    import pandas as pd

GRID = 200  # budgets at which searches are compared
MIN_RUNS = 2


@dataclass(frozen=True)
class SearchCurve:
    """The best value so far of one strategy's searches.

    Attributes
    ----------
    strategy : str
    flops : ndarray, shape (n_budgets,)
        C of a search so far, of exact counts, what its runs share once.
    best : ndarray, shape (n_budgets,)
        Mean over seeds.
    low, high : ndarray, shape (n_budgets,)
        Student's t interval of the mean over seeds; NaN for a single seed.
    runs : tuple of int
        Runs of each seed.
    final : tuple of float
        The best of each seed at the last budget.
    """

    strategy: str
    flops: Array
    best: Array
    low: Array
    high: Array
    runs: tuple[int, ...]
    final: tuple[float, ...]


@dataclass(frozen=True)
class Searches:
    """Strategies by their name, over budgets that all their searches reached."""

    metric: str
    level: float
    curves: tuple[SearchCurve, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, at the last budget."""
        return {
            "metric": self.metric,
            "level": self.level,
            "strategies": [
                {
                    "strategy": c.strategy,
                    "flops": float(c.flops[-1]),
                    "best": float(c.best[-1]),
                    "ci": [float(c.low[-1]), float(c.high[-1])] if len(c.runs) > 1 else None,
                    "runs": list(c.runs),
                    "final": list(c.final),
                }
                for c in self.curves
            ],
        }


def compare_searches(
    runs: pd.DataFrame, *, metric: str | None = None, level: float = 0.9
) -> Searches:
    """The best value so far of each strategy, and its interval over seeds.

    Parameters
    ----------
    runs : DataFrame
        With ``strategy``, ``strategy_seed``, ``search_flops`` and a loss. A search ends where its
        last run does; the curves go from where all have one to the least of their ends.
    metric : str, optional
        ``error`` or ``loss``; the error where there is one.
    level : float

    Raises
    ------
    ValueError
        If the runs are of no search.
    """
    from scipy import stats

    missing = [name for name in ("strategy", "search_flops") if name not in runs.columns]
    if missing or not runs["strategy"].notna().any():
        raise ValueError(
            f"no runs of a search: the table has no {', '.join(missing) or 'strategy'}; give a "
            "sweep with strategy: in its file"
        )
    metric = metric_of(runs, metric)
    table = usable(runs, metric, "search_flops")
    table = table[table["strategy"].notna()].copy()
    if "strategy_seed" not in table.columns:
        table["strategy_seed"] = 0
    searches = {
        key: rows.sort_values("search_flops")
        for key, rows in table.groupby(["strategy", "strategy_seed"], sort=False)
        if len(rows) >= MIN_RUNS
    }
    if not searches:
        raise ValueError(f"no search has {MIN_RUNS} runs with a {metric} yet")
    end = min(float(rows["search_flops"].iloc[-1]) for rows in searches.values())
    begin = max(float(rows["search_flops"].iloc[0]) for rows in searches.values())
    grid = np.geomspace(begin, end, GRID) if begin < end else np.array([end])
    grid[-1] = end
    curves = []
    for strategy in dict.fromkeys(name for name, _ in searches):
        mine = [rows for (name, _), rows in searches.items() if name == strategy]
        values = np.array([_best_at(rows, metric, grid) for rows in mine])
        mean, n = values.mean(axis=0), len(mine)
        half = np.full(len(grid), np.nan)
        if n > 1:
            t = stats.t.ppf(tails(level)[1], n - 1)
            half = t * values.std(axis=0, ddof=1) / np.sqrt(n)
        curves.append(
            SearchCurve(
                str(strategy),
                grid,
                mean,
                mean - half,
                mean + half,
                tuple(len(rows) for rows in mine),
                tuple(float(v) for v in values[:, -1]),
            )
        )
    return Searches(metric, level, tuple(sorted(curves, key=lambda curve: curve.best[-1])))


def _best_at(rows: pd.DataFrame, metric: str, budgets: Array) -> Array:
    """The least value of the runs that are within each budget."""
    so_far = np.minimum.accumulate(rows[metric].to_numpy(float))
    place = np.searchsorted(rows["search_flops"].to_numpy(float), budgets, side="right") - 1
    return np.asarray(so_far[np.maximum(place, 0)])
