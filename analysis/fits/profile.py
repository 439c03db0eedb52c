"""Profile likelihood: the objective along one parameter, minimised over all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import chi2

from analysis.fits.bootstrap import sandwich
from analysis.fits.newton import minimise, spread_of
from analysis.fits.problem import Problem
from analysis.laws import Array, Law

WIDE = 1e100
"""A bound that is none, for a parameter in the runs' own units."""

FARTHEST = 12.0
"""Factors of e that a profile goes to each side: what is not known that well is not known."""

TRIES = 8
"""Times that the reach to each side is changed until the profile rises well past the limit."""


def in_runs_units(law: Law, params: Array, units: Array, index: int) -> tuple[Law, Array]:
    """``law`` for inputs over ``units`` but with parameter ``index`` in the runs' own units.

    ``params (p,)`` are in the runs' units throughout; returned with the law are its own. A size
    such as A of A / N^alpha in the runs' units is the one people quote and is far from
    independent of alpha, so its profile is not that of the A that the fit works with.
    """
    rescale = law.rescale
    if rescale is None:
        return law, params
    scaled = rescale(params, units)
    mixed = scaled.copy()
    mixed[index] = params[index]
    if np.isclose(scaled[index], params[index], rtol=1e-12):
        return law, scaled

    def to_scaled(q: Array) -> Array:
        out = q.copy()
        out[..., index] = rescale(q, units)[..., index]
        return out

    # true of a law whose change of units takes exponents only, which are the same in all units
    if not np.isclose(to_scaled(mixed)[index], scaled[index], rtol=1e-9):
        raise ValueError(
            f"{law.names[index]} of {law.name} changes with the units of its inputs together with "
            "other parameters; use ci() for it"
        )

    def predict(q: Array, *inputs: Array) -> Array:
        return law.predict(to_scaled(q), *inputs)

    def gradient(q: Array, *inputs: Array) -> Array:
        at = to_scaled(q)
        out = law.gradient(at, *inputs)
        by_index = out[..., index, :].copy()
        out[..., index, :] = 0.0
        for j in range(q.shape[-1]):
            step = 6e-6 * np.maximum(np.abs(q[..., j]), 1e-8)
            up, down = q.copy(), q.copy()
            up[..., j] += step
            down[..., j] -= step
            change = (to_scaled(up)[..., index] - to_scaled(down)[..., index]) / (2 * step)
            out[..., j, :] += by_index * change[..., None]
        return out

    parameters = list(law.parameters)
    wide = 1 / WIDE if law.on_log[index] else -WIDE
    parameters[index] = replace(parameters[index], low=wide, high=WIDE)
    own = replace(
        law,
        parameters=tuple(parameters),
        predict=predict,
        gradient=gradient,
        curvature=None,
        rescale=None,
        linear=(),
    )
    return own, mixed


def profile(
    problem: Problem, theta: Array, index: int, level: float = 0.9, points: int = 24
) -> tuple[Array, Array, tuple[float, float]]:
    """Profile of one fit coordinate: its values, the objective there, and the interval.

    The objective is minimised over all other parameters at ``points`` values of coordinate
    ``index`` to each side. The interval holds the values where it rises by less than
    tau chi2(level)/2, tau = (sum of squared scores) / (curvature), the scale that makes the
    robust likelihood ratio chi-squared (Heritier and Ronchetti 1994).

    Returns
    -------
    values, objective : arrays ``(2 points + 1,)``
    interval : (float, float)
        Infinite where the profile does not rise within reach: not identified on that side.
    """
    low, high = problem.bounds
    covariance = sandwich(problem, theta)
    spread = float(np.sqrt(covariance[index, index]))
    # the others start where they are expected given this one: along the valley, not beside it
    slope = covariance[index] / max(spread**2, 1e-300)
    best = float(problem.objective(theta[None])[0])
    rise = 0.5 * chi2.ppf(level, 1) * dispersion(problem, theta)

    def along(values: Array) -> Array:
        held = theta + (values - theta[index])[:, None] * slope
        held[:, index] = values
        objective: Array = minimise(replace(problem, held=(index,)), held)[1]
        return objective

    farthest = FARTHEST if problem.law.on_log[index] else np.inf
    reach = np.full(2, min(6.0 * spread, farthest) if spread > 0 else 0.1)
    for _ in range(TRIES):
        ends = np.clip(theta[index] + np.array([-1.0, 1.0]) * reach, low[index], high[index])
        excess = (along(ends) - best) / rise
        steep, flat = ~(excess < 16.0), (excess < 2.0) & (reach < farthest)
        if not (steep | flat).any():
            break
        reach = np.minimum(np.where(steep, reach / 3, np.where(flat, 2 * reach, reach)), farthest)
    step = np.linspace(0.0, 1.0, points + 1)[1:]
    below = np.clip(theta[index] - reach[0] * step, low[index], high[index])
    above = np.clip(theta[index] + reach[1] * step, low[index], high[index])
    values = np.concatenate([below[::-1], [theta[index]], above])
    objective = along(values)
    objective[points] = min(objective[points], best)
    inside = objective <= objective.min() + rise
    left, right = np.flatnonzero(inside)[[0, -1]]
    interval = (
        _crossing(values, objective, left, left - 1, objective.min() + rise),
        _crossing(values, objective, right, right + 1, objective.min() + rise),
    )
    return values, objective, interval


def _crossing(x: Array, y: Array, inside: int, outside: int, at: float) -> float:
    """Where the line between an inside and an outside point of the profile reaches ``at``."""
    if not 0 <= outside < len(x):
        return float("-inf") if outside < 0 else float("inf")
    share = (at - y[inside]) / (y[outside] - y[inside])
    return float(x[inside] + share * (x[outside] - x[inside]))


def dispersion(problem: Problem, theta: Array) -> float:
    """tau: mean squared slope of the penalty over its mean curvature, with n - p runs.

    Near the least-absolute-deviation limit the curvature is the density of residuals at zero,
    here their share within half a median residual.
    """
    penalty = problem.penalty
    r = problem.residuals(theta[None])[0]
    n, p = len(r), int(np.sum(problem.bounds[0] < problem.bounds[1]))
    width = 0.5 * float(spread_of(problem, theta[None])[0])
    if penalty.loss_fn == "lad":
        slopes, curvature = np.sign(r), np.mean(np.abs(r) < width) / width
    elif penalty.loss_fn == "huber":
        wide = max(penalty.delta, width)
        slopes = np.clip(r, -penalty.delta, penalty.delta)
        curvature = np.mean(np.abs(r) < wide) * penalty.delta / wide
    else:
        ratio, second = penalty.slopes(r, np.array(penalty.delta), exact=True)
        slopes, curvature = ratio * r, second.mean()
    return float((slopes**2).sum() / max(n - p, 1) / curvature)
