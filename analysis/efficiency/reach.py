"""Compute to reach a fixed loss or error, by group: a date, recipe, family or optimiser.

Hernandez & Brown 2020, *Measuring the Algorithmic Efficiency of Neural Networks* (arXiv
2005.04305): efficiency is the reciprocal of the training compute that a capability takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Array

NONE = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Reached:
    """What one group took to reach the target.

    Attributes
    ----------
    group : str
    flops : float
        Training FLOPs; the geometric mean over seeds; NaN where it was not reached.
    flops_ci : (float, float)
        Over seeds, by a t interval of the logarithm; NaN of one seed.
    date : float
        Decimal year; NaN without.
    best : float
        The least of the metric in the group; NaN in a published table.
    runs, seeds : int
    factor : float
        FLOPs of the baseline over these.
    status : str
        ``reached``, ``reached before the first point`` (the FLOPs are an upper bound), or why not.
    """

    group: str
    flops: float
    flops_ci: tuple[float, float] = NONE
    date: float = float("nan")
    best: float = float("nan")
    runs: int = 1
    seeds: int = 1
    factor: float = float("nan")
    status: str = "reached"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def envelope(
    runs: pd.DataFrame, metric: str, curves: pd.DataFrame | None = None
) -> tuple[Array, Array]:
    """The least ``metric`` that ``runs`` had at each compute ``(n,)``, and these FLOPs, rising.

    Points of learning curves count as of so much compute, at the run's FLOPs per token.
    """
    flops = [runs["flops"].to_numpy(float)]
    values = [runs[metric].to_numpy(float)]
    if curves is not None and len(curves) and metric in curves.columns and "run_id" in runs:
        rows = runs[["run_id", "flops", "num_tokens"]].astype({"run_id": str})
        points = curves.astype({"run_id": str}).merge(rows, on="run_id")
        flops.append((points["step"] * points["flops"] / points["num_tokens"]).to_numpy(float))
        values.append(points[metric].to_numpy(float))
    c, y = np.concatenate(flops), np.concatenate(values)
    known = np.isfinite(c) & np.isfinite(y) & (c > 0)
    order = np.lexsort((y[known], c[known]))
    c, y = c[known][order], np.minimum.accumulate(y[known][order])
    falls = np.r_[True, y[1:] < y[:-1]] if len(y) else np.zeros(0, dtype=bool)
    return c[falls], y[falls]


def _crossing(c: Array, y: Array, target: float) -> tuple[float, bool]:
    """Where the envelope meets the target, and whether its first point is already there."""
    there = np.flatnonzero(y <= target)
    if not len(there):
        return float("nan"), False
    i = int(there[0])
    if i == 0:
        return float(c[0]), bool(y[0] < target)
    if min(y[i - 1], y[i], target) > 0:
        share = np.log(y[i - 1] / target) / np.log(y[i - 1] / y[i])
    else:
        share = (y[i - 1] - target) / (y[i - 1] - y[i])
    return float(c[i - 1] * (c[i] / c[i - 1]) ** share), False


def compute_to_reach(
    runs: pd.DataFrame,
    target: float,
    by: str,
    *,
    metric: str = "loss",
    curves: pd.DataFrame | None = None,
    date: str | None = None,
    baseline: str | None = None,
    level: float = 0.9,
) -> list[Reached]:
    """FLOPs at which each group first has ``metric`` at ``target``, between points by logarithms.

    Parameters
    ----------
    runs : DataFrame
        With ``flops``, ``metric`` and the column ``by``; all of its rows are used.
    target : float
    by : str
        Column of the groups.
    metric : str
    curves : DataFrame, optional
        Learning curves (``analysis.tables.load_curves``); their points count too.
    date : str, optional
        Column of dates, the same within a group, or its first one.
    baseline : str, optional
        The group that factors are over: the earliest by default, else that of most FLOPs.
    level : float
        Of intervals over seeds.

    Raises
    ------
    ValueError
        If the baseline is none of the groups or did not reach the target, or a date is none.
    """
    found = []
    for name, rows in runs.groupby(by, sort=False):
        seeds = rows["seed"].nunique() if "seed" in rows.columns else 1
        parts = [part for _, part in rows.groupby("seed")] if seeds > 1 else [rows]
        met = [_crossing(*envelope(part, metric, curves), target) for part in parts]
        flops = np.array([c for c, _ in met])
        best = float(envelope(rows, metric, curves)[1].min(initial=np.inf))
        status = "reached"
        if not np.isfinite(flops).any():
            status = f"not reached: {metric} {best:.4g} at best"
        elif not np.isfinite(flops).all():
            status = f"reached by {int(np.isfinite(flops).sum())} of {len(flops)} seeds"
        elif any(early for _, early in met):
            status = "reached before the first point"
        logs = np.log(flops[np.isfinite(flops)])
        when = decimal_years(rows[date]).min() if date else float("nan")
        found.append(
            Reached(str(name), float(np.exp(logs.mean())) if len(logs) else float("nan"),
                    _over_seeds(logs, level), float(when), best, len(rows), len(logs) or seeds,
                    status=status)
        )  # fmt: skip
    return with_factors(found, baseline)


def published(
    table: pd.DataFrame, by: str, *, date: str | None = None, baseline: str | None = None
) -> list[Reached]:
    """The same from a table whose ``flops`` are what each row took; the least of each group."""
    rows = table[table["flops"].astype(float) > 0]
    rows = rows.loc[rows.groupby(by, sort=False)["flops"].idxmin()]
    years = decimal_years(rows[date]) if date else np.full(len(rows), np.nan)
    flops = rows["flops"].to_numpy(float)
    each = zip(rows[by].astype(str), flops, years, strict=True)
    return with_factors([Reached(g, float(c), date=float(d)) for g, c, d in each], baseline)


def _over_seeds(logs: Array, level: float) -> tuple[float, float]:
    if len(logs) < 2:
        return NONE
    half = student.ppf(0.5 + level / 2, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def with_factors(found: Sequence[Reached], baseline: str | None) -> list[Reached]:
    """By date, else by falling FLOPs, each with its factor over the baseline."""
    dated = any(np.isfinite(one.date) for one in found)
    ordered = sorted(
        found, key=lambda one: one.date if dated else -np.nan_to_num(one.flops, nan=-np.inf)
    )
    known = [one for one in ordered if np.isfinite(one.flops)]
    if baseline is not None:
        names = [one.group for one in found]
        if baseline not in names:
            refuse_unknown(baseline, names, "group (--baseline)")
        if baseline not in [one.group for one in known]:
            raise ValueError(f"{baseline} did not reach the target: choose another --baseline")
        known = [one for one in known if one.group == baseline]
    if not known:
        return ordered
    return [replace(one, factor=known[0].flops / one.flops) for one in ordered]


def decimal_years(dates: pd.Series) -> Array:
    """Dates as decimal years ``(n,)``: ISO dates, or years as they are.

    Raises
    ------
    ValueError
        If one is neither.

    Examples
    --------
    >>> import pandas as pd
    >>> decimal_years(pd.Series(["2012-07-02", "2019-01-01"])).round(2)
    array([2012.5, 2019. ])
    """
    import pandas as pd

    numbers = pd.to_numeric(dates, errors="coerce")
    if numbers.notna().all():
        if not numbers.between(1900, 2200).all():
            wrong = numbers[~numbers.between(1900, 2200)].iloc[0]
            raise ValueError(f"date {wrong:g} is no year: write dates as 2019-05-28 or 2019.4")
        return np.asarray(numbers, dtype=float)
    parsed = pd.to_datetime(dates.astype(str), errors="coerce", format="ISO8601")
    if parsed.isna().any():
        raise ValueError(
            f"{dates[parsed.isna()].iloc[0]!r} is no date: write dates as 2019-05-28 or 2019.4"
        )
    days = np.where(parsed.dt.is_leap_year, 366, 365)
    return np.asarray(parsed.dt.year + (parsed.dt.day_of_year - 1) / days, dtype=float)
