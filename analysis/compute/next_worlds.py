"""What a target and runs that might be done have to do with each other, by a law or a forecast.

Both are taken to first order. By a fitted law the information of its runs, M, is all: the
covariance of two log losses is g' M^-1 h, g and h being their gradients. A forecast has a world
for each of its members, in each of which the law leaves out a random function as well
(``analysis.forecasts.Field``). N* is where the loss surface is least along a budget, so it moves
by the slope of what is added to the surface there over the curvature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.compute.plan import Budget, Cost, columns_at, plan
from analysis.fits import Fit
from analysis.forecasts import Field, Forecast, fields
from analysis.laws import Array, exponents, optimal
from scaling.base import NoAnswerError, refuse_unknown

TARGETS = ("num_params", "num_tokens", "loss", "a", "b")
"""Named targets besides the law's parameters; the first three are taken at a budget, as logs."""

ASIDE = 0.3
"""Distance in ln N to both sides of N* over which the surface's slope and curvature are taken."""


@dataclass(frozen=True)
class World:
    """One way that things may be: normal, with known covariances.

    Attributes
    ----------
    weight : float
        How likely it is; all sum to 1.
    noise : float
        Standard deviation of a run's ln loss besides what the world expects.
    variance : float
        Of the target, before any new run.
    along : array ``(m,)``
        Covariance of the target with the ln loss of a run at each candidate.
    runs : array ``(m, m)``
        Covariance of those ln losses, without noise.
    """

    weight: float
    noise: float
    variance: float
    along: Array
    runs: Array


def worlds_of_law(
    fit: Fit, target: str, at: float, cost: Cost, sizes: Array, tokens: Array
) -> list[World]:
    """The one world of a law that is true: only its parameters are not known.

    ``sizes`` and ``tokens (m,)`` are the candidates.

    Raises
    ------
    NoAnswerError
        If the target does not follow from the law.
    """
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
    seen = slopes(*fit.inputs) * np.sqrt(fit.weights / fit.weights.mean())[:, None]
    covariance = np.linalg.inv(_firm(seen.T @ seen / noise**2))
    there = slopes(sizes, tokens)
    along = there @ covariance
    return [
        World(1.0, noise, float(direction @ covariance @ direction), along @ direction,
              along @ there.T)
    ]  # fmt: skip


def worlds_of_forecast(
    expected: Forecast, target: str, at: float, cost: Cost, sizes: Array, tokens: Array
) -> list[World]:
    """One world for each member of a forecast, as wide as its backtests made it.

    Raises
    ------
    NoAnswerError
        If the forecast has no best size at ``at``.
    """
    budget = Budget(cost)
    [best] = plan(expected, [at], cost=cost)
    found = []
    for field in fields(expected):
        log_n, weights = _functional(field, target, float(np.log(best.num_params)), at, budget)
        there, where = field.at((sizes, tokens)), field.at(_pair(log_n, at, budget))
        variance = float(weights @ field.surface(where) @ weights)
        along, runs = weights @ field.across(where, there), field.runs(there)
        wide = expected.scale**2
        found.append(World(field.share, field.noise, wide * variance, wide * along, wide * runs))
    return found


def is_relative(fit: Fit, target: str) -> bool:
    """Whether a target is taken as its logarithm."""
    if target in fit.law.names:
        return bool(fit.law.on_log[fit.law.names.index(target)])
    return target not in ("a", "b")


def depends_on_compute(fit: Fit, target: str) -> bool:
    """Whether a target differs from one compute to another."""
    always_same = target in ("a", "b") and fit.law.exponent is not None
    return target not in fit.law.names and not always_same


def _pair(log_n: Array, flops: float, budget: Budget) -> tuple[Array, Array]:
    columns = columns_at(log_n, flops, budget, ("num_params", "num_tokens"))
    return columns["num_params"], columns["num_tokens"]


def _functional(
    field: Field, target: str, log_n: float, flops: float, budget: Budget
) -> tuple[Array, Array]:
    """Sizes ln N, and the weights of the surface's changes there in the change of ln target."""
    if target == "loss":
        return np.array([log_n]), np.ones(1)
    aside = log_n + ASIDE * np.array([-1.0, 0.0, 1.0])
    low, middle, high = field.mean(_pair(aside, flops, budget))
    curvature = (low - 2 * middle + high) / ASIDE**2
    if not curvature > 0:
        raise NoAnswerError(
            f"the loss has no minimum over sizes at {flops:.3g} FLOPs that the forecast agrees on; "
            "ask for the loss (--target loss), or take the law for true"
        )
    weights = np.array([1.0, -1.0]) / (2 * ASIDE * curvature)
    if target == "num_tokens":
        n, d = _pair(aside, flops, budget)
        weights *= np.log(d[2] / d[0]) / np.log(n[2] / n[0])
    return aside[[0, 2]], weights


def _target(fit: Fit, params: Array, target: str, at: float, cost: Cost) -> Array:
    """The target for each of ``params (m, p)``."""
    if target in fit.law.names:
        values = params[:, fit.law.names.index(target)]
        return np.log(values) if is_relative(fit, target) else values
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


def _firm(information: Array) -> Array:
    """``information`` with a trace of a prior, so that what is not identified has an inverse."""
    size = np.sqrt(np.diag(information)) + 1e-150
    return np.asarray(information + np.diag(1e-10 * size**2))


def chosen_at(
    worlds: list[World], share: Array, price: float, most: int, first: Sequence[int] = ()
) -> tuple[NDArray[np.intp], float]:
    """Candidates chosen one by one, and the expected variance of the target after them.

    ``share (m,)`` is what each takes of the budget, ``price`` what all of it is worth in log
    variance; ``first`` are chosen whatever they are worth.
    """
    weights = np.array([world.weight for world in worlds])
    noise = np.array([world.noise**2 for world in worlds])[:, None]
    variance = np.array([world.variance for world in worlds])
    along = np.array([world.along for world in worlds])
    own = np.array([np.diag(world.runs) for world in worlds])
    known: list[list[Array]] = [[] for _ in worlds]
    left, chosen = 1.0, []
    for step in range(most):
        reduced = np.maximum(variance[:, None] - along**2 / (own + noise), 0.0)
        before, after = float(weights @ variance), np.maximum(weights @ reduced, 1e-300)
        worth = np.log(before / after) - price * share
        worth[share > left * (1 + 1e-12)] = -np.inf
        i = first[step] if step < len(first) else int(worth.argmax())
        if step >= len(first) and worth[i] <= 0:
            break
        for k, world in enumerate(worlds):
            column = world.runs[:, i] - sum((old * old[i] for old in known[k]), start=0.0)
            pull = column / np.sqrt(own[k, i] + noise[k, 0])
            drop = along[k, i] / np.sqrt(own[k, i] + noise[k, 0])
            variance[k] = max(variance[k] - drop**2, 0.0)
            along[k] = along[k] - pull * drop
            own[k] = np.maximum(own[k] - pull**2, 0.0)
            known[k].append(pull)
        left -= share[i]
        chosen.append(i)
    return np.array(chosen, dtype=int), float(weights @ variance)
