"""Which runs to do next: those that make a named number most certain for a budget of FLOPs.

What a run (N, D) would tell of the target follows to first order from covariances
(:mod:`analysis.compute.next_worlds`): a c-optimal design (Pukelsheim 2006, *Optimal Design of
Experiments*, ch. 2) with a cost on each run. Runs are chosen one by one. What one is worth is the
fall of the log of the target's expected variance less its FLOPs at a price; each price of a range
gives a design, and the best that the budget can pay is taken.

What is asked at a budget (N*, D*, the loss) is the forecast's to tell: the law, what it may leave
out, and noise. A law's own parameters and the exponents a and b are the law's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.compute.expected import AsFitted
from analysis.compute.next_worlds import (
    TARGETS,
    chosen_at,
    depends_on_compute,
    is_relative,
    worlds_of_forecast,
    worlds_of_law,
)
from analysis.compute.plan import Budget, Cost
from analysis.fits import Fit
from analysis.forecasts import Forecast, forecast_of
from analysis.laws import Array
from scaling.base import NoAnswerError

BY_FORECAST = TARGETS[:3]
"""Targets that a forecast tells, not the law alone."""

SIZES, REACH = 25, 16.0
"""Sizes tried on each axis; N, D and D / N go REACH times beyond what was run.

An iso-FLOP profile from N* / 8 to 8 N* covers as much of D / N.
"""

VALUES, APART = 3, 2.0
"""Values of N, of D and of D / N, a factor APART from each other, that tell E and both terms."""

PRICES = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, 26)])
"""Log variance that the whole budget is priced at."""


@dataclass(frozen=True)
class NextRun:
    """A run to do: ``seeds`` repeats of (N, D), each of ``flops``."""

    num_params: float
    num_tokens: float
    flops: float
    seeds: int


@dataclass(frozen=True)
class NextRuns:
    """A design and what it is expected to do.

    ``se_before`` and ``se_after`` are standard errors of the target: of its logarithm, hence
    relative errors, if ``relative`` (N*, D*, loss and the law's positive parameters). They are
    what a forecast expects of it, or, if ``by_law``, those of a law that holds. ``noise`` is that
    of a run's ln L, taken to be independent. ``at`` is the compute that the target is taken at,
    None where it is the same at any. ``needed`` is what would identify the law, in words, where
    the runs so far do not: the cheapest runs that have it are among ``runs``, all but ``unpaid``,
    and the standard errors, which are to first order, say little before they are done.
    """

    target: str
    at: float | None
    relative: bool
    runs: tuple[NextRun, ...]
    flops: float
    noise: float
    se_before: float
    se_after: float
    by_law: bool
    needed: tuple[str, ...] = ()
    unpaid: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[str, str]:
        """``se_before`` and ``se_after`` in words: in percent if they are relative."""
        before, after = (
            f"{100 * se:.3g} %" if self.relative else f"{se:.3g}"
            for se in (self.se_before, self.se_after)
        )
        return before, after

    @property
    def supposed(self) -> str:
        """What the standard errors suppose, in words."""
        return "if the law holds" if self.by_law else "by the forecast"

    @property
    def what(self) -> str:
        """The target, with the compute that it is taken at."""
        return self.target if self.at is None else f"{self.target} at {self.at:.3g} FLOPs"

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def next_runs(
    fit: Fit,
    flops: float,
    target: str = "num_params",
    *,
    expected: Forecast | AsFitted | None = None,
    at: float | None = None,
    cost: Cost = 6.0,
    most: int = 20,
    reach: float = REACH,
) -> NextRuns:
    """The runs within ``flops`` in all that most reduce the variance of ``target``.

    Parameters
    ----------
    fit : Fit
        A law in ``num_params`` and ``num_tokens``.
    flops : float
        What the new runs may cost together.
    target : str
        ``num_params``, ``num_tokens`` or ``loss`` of the best run at compute ``at``, ``a`` or
        ``b`` of N* ~ C^a, D* ~ C^b, or a parameter of the law.
    expected : Forecast or AsFitted, optional
        The forecast by the fit's law (``analysis.forecasts.forecast_of``, which is taken if this
        is left out) that N*, D* and the loss come from; ``AsFitted(fit)`` takes the law for true,
        as is done for its parameters, where runs are too few for a forecast to say what a law
        leaves out, and where errors are not of ln L.
    at : float, optional
        FLOPs; 100 times the largest run's if left out.
    cost : float or callable
        As for ``analysis.compute.plan.plan``.
    most : int
        Number of runs at most.
    reach : float
        N and D go up to this many times the largest of the runs, and D / N as far beyond theirs
        to both sides. Less keeps nearer to where the law was seen to hold.

    Returns
    -------
    NextRuns

    Raises
    ------
    ValueError
        If the law is not one in N and D, the target is not known, the budget is not positive, or
        ``reach`` is below 1.
    NoAnswerError
        If the budget pays for no run within reach, or the target has no value at ``at``.

    Examples
    --------
    >>> next_runs(fit, 1e20, "num_params", at=1e23).runs  # doctest: +SKIP
    """
    if tuple(fit.x_cols) != ("num_params", "num_tokens"):
        raise ValueError(
            f"new runs are proposed for a law in num_params and num_tokens, not in "
            f"{', '.join(fit.x_cols)}; choose --law chinchilla"
        )
    if not 0 < flops < np.inf or most < 1:
        raise ValueError(f"{flops:g} FLOPs and {most} runs: both must be positive")
    if not reach >= 1:
        raise ValueError(f"reach {reach:g} is below 1, the largest N and D that were run; raise it")
    budget = Budget(cost)
    n, d = fit.inputs
    at = at if at is not None else 100 * float((budget.per_token(n) * d).max())
    sizes, tokens, prices = _candidates(n, d, budget, flops, reach)
    by_law = target not in BY_FORECAST or isinstance(expected, AsFitted)
    foretold = forecast_of(fit) if expected is None and not by_law else expected
    if isinstance(foretold, Forecast) and foretold.draws and foretold.space == "log" and not by_law:
        worlds = worlds_of_forecast(foretold, target, at, cost, sizes, tokens)
    else:
        by_law, worlds = True, worlds_of_law(fit, target, at, cost, sizes, tokens)
    needed = () if fit.identified else _needed(n, d)
    first = _identifying(n, d, sizes, tokens, prices, flops)[:most] if needed else []
    best, after = np.array([], dtype=int), np.inf
    for price in PRICES:
        chosen, variance = chosen_at(worlds, prices / flops, price, most, first)
        if variance < after:
            best, after = chosen, variance
    found = [
        NextRun(float(sizes[i]), float(tokens[i]), float(prices[i]), int(times))
        for i, times in zip(*np.unique(best, return_counts=True), strict=True)
    ]
    return NextRuns(
        target=target,
        at=at if depends_on_compute(fit, target) else None,
        relative=is_relative(fit, target),
        runs=tuple(sorted(found, key=lambda run: run.flops)),
        flops=float(prices[best].sum()),
        noise=float(np.sqrt(sum(world.weight * world.noise**2 for world in worlds))),
        se_before=float(np.sqrt(sum(world.weight * world.variance for world in worlds))),
        se_after=float(np.sqrt(after)),
        by_law=by_law,
        needed=needed,
        unpaid=_needed(np.append(n, sizes[best]), np.append(d, tokens[best])) if needed else (),
    )


def _apart(x: Array) -> int:
    """How many values of ``x (n,)`` lie a factor ``APART`` or more from each other."""
    count, last = 0, 0.0
    for value in np.sort(x):
        if value >= 0.99 * APART * last:
            count, last = count + 1, float(value)
    return count


def _axes(n: Array, d: Array) -> dict[str, Array]:
    return {"num_params": n, "num_tokens": d, "num_tokens / num_params": d / n}


def _needed(n: Array, d: Array) -> tuple[str, ...]:
    """What runs ``(n,)`` lack to tell the terms of N and of D and the floor from each other."""
    return tuple(
        f"{VALUES} values of {name}, a factor {APART:g} apart (now {_apart(x)})"
        for name, x in _axes(n, d).items()
        if _apart(x) < VALUES
    )


def _identifying(
    n: Array, d: Array, sizes: Array, tokens: Array, prices: Array, flops: float
) -> list[int]:
    """The cheapest candidates, one after another, that bring what ``_needed`` says."""
    found: list[int] = []

    def lack(i: int | None = None) -> int:
        rows = found if i is None else [*found, i]
        both = _axes(np.append(n, sizes[rows]), np.append(d, tokens[rows]))
        return sum(max(VALUES - _apart(x), 0) for x in both.values())

    order, left = np.argsort(prices, kind="stable"), flops
    while (now := lack()) > 0:
        gains = [(now - lack(int(i)), int(i)) for i in order if prices[i] <= left]
        most = max((gain for gain, _ in gains), default=0)
        if most == 0:
            break
        found.append(next(i for gain, i in gains if gain == most))
        left -= float(prices[found[-1]])
    return found


def _candidates(
    n: Array, d: Array, budget: Budget, flops: float, reach: float
) -> tuple[Array, Array, Array]:
    """N, D and FLOPs of pairs on a log grid that the budget can pay, ``(m,)`` each."""
    sizes, tokens = (np.geomspace(x.min(), reach * x.max(), SIZES) for x in (n, d))
    grid_n, grid_d = (x.ravel() for x in np.meshgrid(sizes, tokens, indexing="ij"))
    ratio, seen = grid_d / grid_n, d / n
    inside = (ratio > 0.999 * seen.min() / reach) & (ratio < 1.001 * seen.max() * reach)
    grid_n, grid_d = grid_n[inside], grid_d[inside]
    prices = budget.per_token(grid_n) * grid_d
    paid = prices <= flops
    if not paid.any():
        raise NoAnswerError(
            f"{flops:.3g} FLOPs pay for no run within reach; the cheapest costs {prices.min():.3g}"
        )
    return grid_n[paid], grid_d[paid], prices[paid]
