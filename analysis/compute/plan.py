"""What to train with a compute budget: N*, D* and the loss to expect, with joint intervals.

Every number is a forecast's (``analysis.forecasts``): N* is where its central prediction is least
at the budget, and in each of its draws, which are whole loss surfaces, the least is sought again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.compute.allocation import Allocation, Interval, Plan
from analysis.compute.expected import Expected
from analysis.fits import Fit
from analysis.forecasts import forecast_of
from analysis.intervals import excluded, interval
from analysis.tables import usable
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Cost = float | Callable[[Array], Array]

AROUND, POINTS = 2.0, 81
"""The best size of each draw is sought within e^AROUND of N*, at POINTS sizes.

Small models on more data than any run had are where draws know least; some fall without end there.
"""

SLACK = (1e-3, 1e-3, 1e-6)
"""Of N*, D* and the loss, what the draws' sizes are coarser by than the estimate's."""

UNSURE = 30.0
"""Ratio of the ends of N*'s interval beyond which a plan says that it does not know N*."""


@dataclass(frozen=True)
class Budget:
    """What a FLOP buys: ``cost`` in training FLOPs per token, and tokens served afterwards.

    Attributes
    ----------
    cost : float or callable
        FLOPs per parameter and token (6: C = 6 N D), or a function of N ``(n,) -> (n,)`` that
        gives training FLOPs per token.
    inference_tokens : float
        Tokens served over the model's life, each at a third of the cost of a training token
        (2 N against 6 N; Sardana et al. 2024, eq. 2).
    unique_tokens : float or None
        U: distinct training tokens there are.
    """

    cost: Cost = 6.0
    inference_tokens: float = 0.0
    unique_tokens: float | None = None

    def per_token(self, n: Array) -> Array:
        """Training FLOPs per token at sizes ``n``."""
        if callable(self.cost):
            return np.asarray(self.cost(n), dtype=float)
        return self.cost * n

    def data(self, inputs: Sequence[str]) -> float:
        """The tokens that a law in ``inputs`` can train on: U if it repeats none, else no end."""
        if self.unique_tokens is None or "num_unique_tokens" in inputs:
            return float("inf")
        return self.unique_tokens

    def tokens(self, n: Array, flops: float) -> Array:
        """The tokens D that ``flops`` buy at sizes ``n``; negative if serving alone costs more."""
        return flops / self.per_token(n) - self.inference_tokens / 3


def check_law(name: str, inputs: Sequence[str], output: str) -> None:
    """``ValueError`` if no plan can be made by that law, so that it need not be fitted first."""
    if not {"num_params", "num_tokens"} <= set(inputs) or output != "loss":
        raise ValueError(
            f"a plan needs a law of loss in num_params and num_tokens; {name} is one of "
            f"{output} in {', '.join(inputs)}: choose --law chinchilla"
        )
    extra = set(inputs) - {"num_params", "num_tokens", "num_unique_tokens"}
    if extra:
        raise ValueError(f"a plan cannot choose {', '.join(sorted(extra))} of law {name}")


def plan(
    expected: Expected | Fit,
    flops: Sequence[float],
    *,
    cost: Cost = 6.0,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    num_params: float | None = None,
    num_tokens: float | None = None,
    level: float = 0.9,
) -> Plan:
    """The allocation of lowest expected loss at each budget, C = cost(N) D.

    Parameters
    ----------
    expected : Forecast or Fit
        In ``num_params`` and ``num_tokens`` (and perhaps ``num_unique_tokens``). Of a fit the
        forecast by its law is taken (``analysis.forecasts.forecast_of``): what the law leaves out
        and noise are in the intervals, not its parameters alone; ``AsFitted`` takes these alone.
    flops : sequence of float
        Budgets C.
    cost : float or callable
        FLOPs per parameter and token, or training FLOPs per token as a function of N.
    inference_tokens : float
        Tokens served over the model's life (Sardana et al. 2024).
    unique_tokens : float, optional
        U. A law in ``num_unique_tokens`` repeats data at its price; for any other law D stops
        at U, and with a given N some of the budget may be left.
    num_params, num_tokens : float, optional
        A given N, or a given D; the budget then sets the other.
    level : float
        Coverage of the intervals.

    Raises
    ------
    ValueError
        If the law is not in N and D, a budget is not positive, both N and D are given, or D is
        more than U and the law does not repeat data.
    NoAnswerError
        If a budget cannot pay for what is given, or has no interior optimum.

    Examples
    --------
    >>> plan(forecast(runs), [1e21])[0].num_params  # doctest: +SKIP
    """
    budget = Budget(cost, inference_tokens, unique_tokens)
    if isinstance(expected, Fit):
        check_law(expected.law.name, expected.x_cols, expected.y_col)
        expected = forecast_of(expected)
    check_law(expected.name, expected.x_cols, expected.y_col)
    if num_params is not None and num_tokens is not None:
        raise ValueError("give num_params or num_tokens, not both: the budget sets the other")
    if num_tokens is not None and num_tokens > budget.data(expected.x_cols):
        raise ValueError(
            f"num_tokens {num_tokens:.4g} is more than the {unique_tokens:.4g} unique tokens, and "
            f"law {expected.name} repeats none: give fewer, or choose --law overfitting"
        )
    found = [_allocate(expected, float(c), budget, num_params, num_tokens, level) for c in flops]
    return Plan(tuple(found), expected.name, level)


def _allocate(
    expected: Expected,
    flops: float,
    budget: Budget,
    num_params: float | None,
    num_tokens: float | None,
    level: float,
) -> Allocation:
    if not flops > 0 or not np.isfinite(flops):
        raise ValueError(f"budget {flops:.3g} FLOPs is not a positive number")
    low, high = _range(flops, budget)
    status, floor = expected.doubt or "ok", low
    limit = budget.data(expected.x_cols)

    def columns(log_n: Array) -> dict[str, Array]:
        return columns_at(log_n, flops, budget, expected.x_cols)

    def loss_at(log_n: Array) -> Array:
        return _finite(expected.predict(columns(log_n)))

    free = num_params is None and num_tokens is None
    if num_params is not None:
        best, status = float(np.log(num_params)), "given N"
        if not low <= best <= high:
            raise NoAnswerError(
                f"{flops:.3g} FLOPs do not pay for one token at {num_params:.3g} parameters"
            )
        if budget.tokens(np.array([num_params]), flops)[0] > limit:
            status = "data limited"
    elif num_tokens is not None:
        best, status = _size(num_tokens, flops, budget), "given D"
    else:
        if limit < budget.tokens(np.exp(np.array([low])), flops)[0]:
            # D falls as N grows, so D <= U is a lower limit on N.
            floor = _size(limit, flops, budget)
        best = _lowest(loss_at, floor, high)
        if best <= floor + 1e-6 and floor > low:
            status = "data limited"
        elif best <= low + 1e-6 or best >= high - 1e-6:
            raise NoAnswerError(
                f"law {expected.name} has no best size at {flops:.3g} FLOPs: its loss falls to "
                "the end of the range; the runs do not identify an optimum"
            )
    loss = float(loss_at(np.array([best]))[0])
    near = (float(np.exp(best)),) * 2
    grid = np.array([best])
    if free:
        near = _within(loss_at, best, loss * 1.001, floor, high)
        grid = np.linspace(max(floor, best - AROUND), min(high, best + AROUND), POINTS)
    each, losses = _lowest_of(grid, _finite(expected.sample(columns(grid), noise=False)))
    n = np.exp(np.append(best, each))
    d = np.minimum(budget.tokens(n, flops), limit)
    ends = {"N*": _interval(n[1:], level), "D*": _interval(d[1:], level),
            "the loss": _interval(losses, level)}  # fmt: skip
    if free and status == "ok" and _ratio(ends["N*"]) > UNSURE:
        status = f"N* known within {_ratio(ends['N*']):.0f} times only"
    lows, highs = np.array([*ends.values()]).T
    missed = excluded(np.array([n[0], d[0], loss]), lows, highs, np.array(SLACK))
    if missed.any():
        names = ", ".join(name for name, out in zip(ends, missed, strict=True) if out)
        said = f"the interval of {names} excludes its own estimate"
        status = said if status == "ok" else f"{status}; {said}"
    return Allocation(
        flops=flops,
        num_params=float(n[0]),
        num_tokens=float(d[0]),
        loss=loss,
        num_params_ci=ends["N*"],
        num_tokens_ci=ends["D*"],
        loss_ci=ends["the loss"],
        num_params_range=near,
        training_flops=float(budget.per_token(n[:1])[0] * d[0]),
        status=status,
    )


def columns_at(
    log_n: Array, flops: float, budget: Budget, inputs: Sequence[str]
) -> dict[str, Array]:
    """The columns of runs of sizes ``log_n (m,)`` at budget ``flops``."""
    n = np.exp(log_n)
    d = np.clip(budget.tokens(n, flops), 1e-300, budget.data(inputs))
    values = {"num_params": n, "num_tokens": d}
    if "num_unique_tokens" in inputs:
        unique = budget.unique_tokens
        values["num_unique_tokens"] = d if unique is None else np.minimum(d, unique)
    return values


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.inf)


def _ratio(ends: Interval) -> float:
    return ends[1] / ends[0]


def _range(flops: float, budget: Budget) -> Interval:
    """ln N from one parameter to the size at which the budget buys one token."""
    grid = np.linspace(0.0, np.log(flops), 2001)
    affordable = budget.tokens(np.exp(grid), flops) >= 1.0
    if not affordable.any():
        served = budget.inference_tokens
        what = f"serving {served:.3g} tokens" if served else "one token"
        raise NoAnswerError(
            f"{flops:.3g} FLOPs do not pay for {what} with the smallest model: raise the budget"
        )
    return 0.0, float(grid[np.flatnonzero(affordable)[-1]])


def _size(tokens: float, flops: float, budget: Budget) -> float:
    """ln N at which ``flops`` buy exactly ``tokens``."""
    from scipy.optimize import brentq

    low, high = _range(flops, budget)

    def excess(log_n: float) -> float:
        return float(np.log(max(budget.tokens(np.exp(np.array([log_n])), flops)[0], 1e-9) / tokens))

    if excess(low) < 0 or excess(high) > 0:
        raise NoAnswerError(f"{flops:.3g} FLOPs do not pay for {tokens:.3g} tokens at any size")
    return float(brentq(excess, low, high, xtol=1e-12))


def _lowest(loss: Callable[[Array], Array], low: float, high: float) -> float:
    """The minimum over ln N in [low, high], by closing grids."""
    first, last = low, high
    for size in (200, 24, 24):
        grid = np.linspace(first, last, size)
        values = loss(grid)
        best = int(values.argmin())
        first, last = grid[max(best - 1, 0)], grid[min(best + 1, size - 1)]
    # A finer grid would be flat to rounding; the vertex of a parabola through three points is not.
    return float(_lowest_of(grid, values[None])[0][0])


def _lowest_of(grid: Array, values: Array) -> tuple[Array, Array]:
    """Where curves ``(k, m)`` over an even ``grid (m,)`` are least, and how low, ``(k,)`` each."""
    rows, size = np.arange(len(values)), len(grid)
    best = values.argmin(axis=1)
    left, middle, right = (values[rows, np.clip(best + i, 0, size - 1)] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    inner = (best > 0) & (best < size - 1) & (bend > 0) & np.isfinite(bend)
    shift = np.where(inner, 0.5 * (left - right) / np.where(inner, bend, 1.0), 0.0)
    step = grid[1] - grid[0] if size > 1 else 0.0
    return grid[best] + shift * step, middle - 0.25 * np.where(inner, left - right, 0.0) * shift


def _within(
    loss: Callable[[Array], Array], best: float, limit: float, low: float, high: float
) -> Interval:
    """The sizes on both sides of ``best`` at which the loss reaches ``limit``."""
    from scipy.optimize import brentq

    def excess(log_n: float) -> float:
        return float(min(loss(np.array([log_n]))[0], 1e9)) - limit

    left = brentq(excess, low, best) if excess(low) > 0 > excess(best) else low
    right = brentq(excess, best, high) if excess(high) > 0 > excess(best) else high
    return float(np.exp(left)), float(np.exp(right))


def _interval(values: Array, level: float) -> Interval:
    low, high = interval(values, level)
    return float(low), float(high)


def next_budgets(table: pd.DataFrame) -> list[float]:
    """10, 100 and 1000 times the largest compute among the runs that are not left out."""
    flops = usable(table, "flops")["flops"] if "flops" in table.columns else ()
    if not len(flops):
        raise ValueError("the runs have no compute to start from: name budgets with --flops")
    return [float(max(flops)) * factor for factor in (10.0, 100.0, 1000.0)]


def cost_of(runs: pd.DataFrame) -> Cost:
    """The training FLOPs per token at size N that the runs show, C / D; 6 N for foreign tables.

    Runs of a family carry exact FLOPs. Between their sizes ln(C / (N D)) is interpolated in
    ln N, beyond them it is held.
    """
    known = "family" in runs.columns and (runs["family"] != "").any()
    if not known or "flops" not in runs.columns:
        return 6.0
    whole = usable(runs, "num_params", "num_tokens", "flops")
    if not len(whole):
        return 6.0
    ratio = np.log(whole["flops"] / (whole["num_params"] * whole["num_tokens"]))
    mean = ratio.groupby(np.log(whole["num_params"]).round(6)).mean()
    log_n, log_ratio = mean.index.to_numpy(dtype=float), mean.to_numpy(dtype=float)

    def per_token(n: Array) -> Array:
        return np.asarray(n * np.exp(np.interp(np.log(n), log_n, log_ratio)))

    return per_token
