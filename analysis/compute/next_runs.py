"""Which runs to do next: those that make a named number most certain for a budget of FLOPs.

To first order each run (N, D) adds g g' / sigma^2 to the information M on the parameters, g
being the gradient of ln L there, and the variance of a target is c' M^-1 c, c its gradient: a
c-optimal design (Pukelsheim 2006, *Optimal Design of Experiments*, ch. 2) with a cost on each
run. Runs are chosen one by one. What one is worth is the fall of the target's log variance less
its FLOPs at a price; each price of a range gives a design, and the best that the budget can pay
is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.compute.plan import Budget, Cost
from analysis.fits import Fit
from analysis.laws import Array, exponents, optimal
from scaling.base import NoAnswerError, refuse_unknown

TARGETS = ("num_params", "num_tokens", "loss", "a", "b")
"""Named targets besides the law's parameters; the first three are taken at a budget, as logs."""

SIZES, REACH = 25, 16.0
"""Sizes tried on each axis; N, D and D / N go REACH times beyond what was run.

An iso-FLOP profile from N* / 8 to 8 N* covers as much of D / N.
"""

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

    ``se_before`` and ``se_after`` are standard errors of the target if the law holds and the
    noise ``noise`` of ln L is independent: of its logarithm, hence relative errors, if
    ``relative`` (N*, D*, loss and the law's positive parameters). ``at`` is the compute that the
    target is taken at, None where it is the same at any.
    """

    target: str
    at: float | None
    relative: bool
    runs: tuple[NextRun, ...]
    flops: float
    noise: float
    se_before: float
    se_after: float

    @property
    def errors(self) -> tuple[str, str]:
        """``se_before`` and ``se_after`` in words: in percent if they are relative."""
        before, after = (
            f"{100 * se:.3g} %" if self.relative else f"{se:.3g}"
            for se in (self.se_before, self.se_after)
        )
        return before, after

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
        If the budget pays for no run within reach.

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
    problem = fit.problem
    units = problem.units
    theta = problem.clip(problem.from_original(fit.vector))
    free = np.flatnonzero((problem.bounds[0] < theta) & (theta < problem.bounds[1]))

    def slopes(num_params: Array, num_tokens: Array) -> Array:
        """Gradient of ln L by the free fit coordinates, ``(m, p)``."""
        inputs = (num_params / units[0], num_tokens / units[1])
        params = problem.params(theta)
        by = fit.law.gradient(params, *inputs) / fit.law.predict(params, *inputs)
        return np.asarray((by * np.where(fit.law.on_log, params, 1.0)[:, None])[free].T)

    def value(points: Array) -> Array:
        """The target at fit coordinates ``(m, p)``."""
        return _target(fit, problem.original(points), target, at, cost)

    direction = _gradient(value, theta)[free]
    if not np.isfinite(direction).all():
        raise NoAnswerError(f"{target} at {at:.3g} FLOPs does not follow from the law as fitted")
    r = np.log(fit.fitted / fit.observed)
    noise = float(np.sqrt(np.sum(r**2) / max(len(r) - len(free), 1)))
    seen = slopes(n, d) * np.sqrt(fit.weights / fit.weights.mean())[:, None]
    information = seen.T @ seen / noise**2
    sizes, tokens, prices = _candidates(n, d, budget, flops, reach)
    gain = slopes(sizes, tokens) / noise
    before = _variance(information, direction)
    best, after = np.array([], dtype=int), np.inf
    for price in PRICES:
        chosen, variance = _greedy(information, direction, gain, prices / flops, price, most)
        if variance < after:
            best, after = chosen, variance
    found = [
        NextRun(float(sizes[i]), float(tokens[i]), float(prices[i]), int(times))
        for i, times in zip(*np.unique(best, return_counts=True), strict=True)
    ]
    return NextRuns(
        target=target,
        at=at if _depends_on_compute(fit, target) else None,
        relative=_is_relative(fit, target),
        runs=tuple(sorted(found, key=lambda run: run.flops)),
        flops=float(prices[best].sum()),
        noise=noise,
        se_before=float(np.sqrt(before)),
        se_after=float(np.sqrt(after)),
    )


def _is_relative(fit: Fit, target: str) -> bool:
    """Whether a target is taken as its logarithm."""
    if target in fit.law.names:
        return bool(fit.law.on_log[fit.law.names.index(target)])
    return target not in ("a", "b")


def _depends_on_compute(fit: Fit, target: str) -> bool:
    """Whether a target differs from one compute to another."""
    always_same = target in ("a", "b") and fit.law.exponent is not None
    return target not in fit.law.names and not always_same


def _target(fit: Fit, params: Array, target: str, at: float, cost: Cost) -> Array:
    """The target for each of ``params (m, p)``."""
    if target in fit.law.names:
        values = params[:, fit.law.names.index(target)]
        return np.log(values) if _is_relative(fit, target) else values
    if target not in TARGETS:
        refuse_unknown(target, (*TARGETS, *fit.law.names), "target")
    if target in ("a", "b"):
        a, b = exponents(fit.law, params, at)
        return a if target == "a" else b
    # C = 6 N D near the optimum: a family's exact cost moves N*, hardly how it depends on theta
    per_param = 6.0 if callable(cost) else cost
    best = optimal(fit.law, params, at, per_param)
    return np.asarray(np.log(best[("num_params", "num_tokens", "loss").index(target)]))


def _gradient(value: Callable[[Array], Array], theta: Array, step: float = 1e-3) -> Array:
    """Central differences of ``value`` at ``theta (p,)``."""
    moves = step * np.eye(len(theta))
    difference = value(theta + moves) - value(theta - moves)
    return np.asarray(difference / (2 * step))


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


def _variance(information: Array, direction: Array) -> float:
    return float(direction @ np.linalg.solve(_firm(information), direction))


def _firm(information: Array) -> Array:
    """``information`` with a trace of a prior, so that what is not identified has an inverse."""
    size = np.sqrt(np.diag(information)) + 1e-150
    return np.asarray(information + np.diag(1e-10 * size**2))


def _greedy(
    information: Array, direction: Array, gain: Array, share: Array, price: float, most: int
) -> tuple[NDArray[np.intp], float]:
    """Candidates chosen one by one at ``price`` of the whole budget, and the variance after."""
    covariance = np.linalg.inv(_firm(information))
    left, chosen = 1.0, []
    variance = float(direction @ covariance @ direction)
    for _ in range(most):
        along = gain @ (covariance @ direction)
        by_itself = np.einsum("mp,mp->m", gain @ covariance, gain)
        reduced = variance - along**2 / (1 + by_itself)
        worth = np.log(variance / np.maximum(reduced, 1e-300)) - price * share
        worth[share > left * (1 + 1e-12)] = -np.inf
        i = int(worth.argmax())
        if worth[i] <= 0:
            break
        pull = covariance @ gain[i]
        covariance = covariance - np.outer(pull, pull) / (1 + by_itself[i])
        variance = float(direction @ covariance @ direction)
        left -= share[i]
        chosen.append(i)
    return np.array(chosen, dtype=int), variance
