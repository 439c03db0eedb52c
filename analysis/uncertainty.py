"""How sure a fit is: sandwich covariance, bootstrap draws, profile likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from analysis.laws.base import Array
from analysis.newton import final_delta, minimise, spread_of
from analysis.problem import Problem
from analysis.starts import best_starts
from scaling.names import refuse_unknown


def sandwich(problem: Problem, theta: Array) -> Array:
    """Covariance ``(p, p)`` of the fit coordinates: H^-1 (sum of squared scores) H^-1.

    The Hessian is that of the penalty smoothed to the scale of the residuals, since near the
    least-absolute-deviation limit its own says nothing about the next run. Zero for held
    parameters and those at a bound. Source: Huber 1967; White 1982.
    """
    at = theta[None]
    r = problem.residuals(at)
    delta = np.maximum(final_delta(problem, 1), spread_of(problem, at))
    _, hessian, scale = problem.derivatives(at, r, delta, exact=False)
    ratio, _ = problem.penalty.slopes(r, delta[:, None], exact=False)
    params = problem.params(theta)
    jacobian = problem.law.gradient(params, *problem.inputs)
    jacobian *= np.where(problem.law.on_log, params, 1.0)[:, None]
    if problem.space == "log":
        jacobian /= problem.law.predict(params, *problem.inputs)
    scores = jacobian * (problem.weights * ratio[0] * r[0])
    low, high = problem.bounds
    free = np.flatnonzero((theta > low) & (theta < high))
    out = np.zeros((len(theta), len(theta)))
    size = scale[0][free]
    values, vectors = np.linalg.eigh(hessian[0][np.ix_(free, free)] / np.outer(size, size))
    values = np.maximum(values, 1e-10 * values[-1])
    inverse = (vectors / values) @ vectors.T / np.outer(size, size)
    out[np.ix_(free, free)] = inverse @ (scores[free] @ scores[free].T) @ inverse
    return out


RESAMPLES = ("pairs", "cluster", "residual")


def bootstrap(
    problem: Problem,
    theta: Array,
    draws: int,
    resample: str | Array = "pairs",
    clusters: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Array:
    """Fit coordinates ``(draws, p)`` of fits to resampled runs, each restarted globally.

    ``pairs`` draws runs with replacement, ``cluster`` whole clusters (checkpoints of one run,
    seeds of one configuration), ``residual`` keeps the inputs and adds drawn residuals to the
    fitted values; an array ``(draws, n)`` says itself how often each run counts.

    Near the least-absolute-deviation limit as many residuals as parameters are zero, so that
    ``residual`` is too narrow there: its 90 % intervals held 81 to 84 % of planted values
    (benchmarks/RESULTS.md). Use ``pairs``.
    """
    rng = np.random.default_rng(seed)
    n = problem.target.shape[-1]
    resampled = problem
    if not isinstance(resample, str):
        if resample.shape != (draws, n):
            raise ValueError(f"resample has shape {resample.shape}; {draws} draws of {n} runs")
        resampled = problem.with_weights(problem.weights * resample)
    elif resample == "residual":
        r = problem.residuals(theta[None])[0]
        centred = r - np.average(r, weights=problem.weights)
        centred *= np.sqrt(n / max(n - len(theta), 1))
        fitted = problem.target + r
        resampled = replace(problem, target=fitted - centred[rng.integers(0, n, (draws, n))])
    elif resample in ("pairs", "cluster"):
        if resample == "cluster" and clusters is None:
            raise ValueError("resample='cluster' needs cluster=, the column that names the cluster")
        groups = clusters if clusters is not None and resample == "cluster" else np.arange(n)
        count = int(groups.max()) + 1
        drawn = rng.integers(0, count, (draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        resampled = problem.with_weights(problem.weights * times[:, groups])
    else:
        refuse_unknown(resample, RESAMPLES, "resample")
    keep = restarts(problem)
    parts = np.array_split(np.arange(draws), max(1, draws // 500))
    starts = np.concatenate([best_starts(resampled.rows(part), keep) for part in parts])
    found, objectives = minimise(
        resampled.repeat(keep), starts.reshape(draws * keep, -1), small=1e-9
    )
    best = objectives.reshape(draws, keep).argmin(axis=1)
    chosen: Array = found.reshape(draws, keep, -1)[np.arange(draws), best]
    return chosen


def restarts(problem: Problem) -> int:
    """Number of global starts for each draw.

    One is enough for a smooth penalty and a law with a grid over its exponents: on the
    Chinchilla runs it found what 28 starts found in each of 100 draws. A few runs near the
    least-absolute-deviation limit, or a law with its own starts, need more.
    """
    hard = problem.law.starts is not None
    sharp = problem.penalty.loss_fn == "lad" or problem.penalty.delta < 1e-4
    few = problem.target.shape[-1] < 60
    return 1 + 3 * hard + 3 * (sharp and few)


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
    spread = float(np.sqrt(sandwich(problem, theta)[index, index]))
    best = float(problem.objective(theta[None])[0])
    rise = 0.5 * chi2.ppf(level, 1) * _scale(problem, theta)
    reach = 6.0 * (spread if spread > 0 else 0.1)
    sides = []
    for sign in (-1.0, 1.0):
        steps = theta[index] + sign * reach * np.linspace(0.0, 1.0, points + 1)[1:]
        sides.append(np.clip(steps, low[index], high[index]))
    values = np.concatenate([sides[0][::-1], [theta[index]], sides[1]])
    held = np.repeat(theta[None], len(values), axis=0)
    held[:, index] = values
    _, objective = minimise(replace(problem, held=(index,)), held)
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


def _scale(problem: Problem, theta: Array) -> float:
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
