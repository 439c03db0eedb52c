"""How fast efficiency grew: a line through the logarithm of its factor over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import linregress
from scipy.stats import t as student

from analysis.efficiency.reach import Reached
from analysis.laws import Array

LEAST = 3
"""Dates that a line with an interval needs."""


@dataclass(frozen=True)
class Trend:
    """log2 factor = ``doublings_per_year`` (date - ``start``) + ``intercept``, by least squares.

    Attributes
    ----------
    doublings_per_year : float
    doublings_per_year_ci : (float, float)
        By t with n - 2 degrees of freedom: as if the points scattered independently.
    doubling_months : float
        12 over the slope.
    doubling_months_ci : (float, float)
        Of the slope's interval; its end is infinite where that reaches 0.
    n : int
        Groups with a date that reached the target.
    """

    doublings_per_year: float
    doublings_per_year_ci: tuple[float, float]
    doubling_months: float
    doubling_months_ci: tuple[float, float]
    start: float
    intercept: float
    scatter: float
    mean_date: float
    squares: float
    n: int
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        names = (
            "doublings_per_year", "doublings_per_year_ci", "doubling_months",
            "doubling_months_ci", "n", "level",
        )  # fmt: skip
        found = asdict(self)
        return {name: found[name] for name in names}

    def at(self, dates: Array) -> tuple[Array, Array, Array]:
        """The factor on the line at decimal years ``(k,)``, and the interval of the line."""
        centre = self.intercept + self.doublings_per_year * (dates - self.start)
        t = student.ppf(0.5 + self.level / 2, self.n - 2)
        half = t * self.scatter * np.sqrt(1 / self.n + (dates - self.mean_date) ** 2 / self.squares)
        return 2.0**centre, 2.0 ** (centre - half), 2.0 ** (centre + half)


def trend(found: Sequence[Reached], level: float = 0.9) -> Trend | None:
    """The trend of the groups that have a date and a factor; None of fewer than three dates."""
    points = [
        (one.date, np.log2(one.factor))
        for one in found
        if np.isfinite(one.date) and np.isfinite(one.factor)
    ]
    if len({date for date, _ in points}) < LEAST:
        return None
    dates, logs = np.array(points).T
    start, n = float(dates.min()), len(dates)
    line = linregress(dates - start, logs)
    half = float(student.ppf(0.5 + level / 2, n - 2)) * line.stderr
    slope, ends = float(line.slope), (float(line.slope - half), float(line.slope + half))
    residual = logs - line.intercept - slope * (dates - start)
    squares = float(((dates - dates.mean()) ** 2).sum())
    return Trend(
        slope,
        ends,
        _months(slope),
        (_months(ends[1]), _months(ends[0])),
        start,
        float(line.intercept),
        float(np.sqrt(residual @ residual / (n - 2))),
        float(dates.mean()),
        squares,
        n,
        level,
    )


def _months(doublings_per_year: float) -> float:
    return 12 / doublings_per_year if doublings_per_year > 0 else float("inf")
