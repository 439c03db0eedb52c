"""Resampling: bootstrap draws, each fitted from a global start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    delta = np.maximum(final_delta(problem, spread_of(problem, at)), spread_of(problem, at))
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
    resample: str = "pairs",
    clusters: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Array:
    """Fit coordinates ``(draws, p)`` of fits to resampled runs, each restarted globally.

    ``pairs`` draws runs with replacement, ``cluster`` whole clusters (checkpoints of one run,
    seeds of one configuration), ``residual`` keeps the inputs and adds drawn residuals to the
    fitted values. Independent of the chunking: the same ``seed`` gives the same draws.
    """
    if resample not in RESAMPLES:
        refuse_unknown(resample, RESAMPLES, "resample")
    rng = np.random.default_rng(seed)
    n = problem.target.shape[-1]
    target, weights = problem.target, problem.weights
    if resample == "residual":
        r = -problem.residuals(theta)
        r = (r - np.average(r, weights=weights)) * np.sqrt(n / max(n - len(theta), 1))
        target = target - (-problem.residuals(theta)) + r[rng.integers(0, n, (draws, n))]
    else:
        if resample == "cluster" and clusters is None:
            raise ValueError("resample='cluster' needs cluster=, the column that names the cluster")
        groups = np.arange(n) if clusters is None or resample == "pairs" else clusters
        count = int(groups.max()) + 1
        drawn = rng.integers(0, count, (draws, count))
        counts = np.apply_along_axis(np.bincount, 1, drawn, minlength=count)
        weights = weights * counts[:, groups]
    resampled = Problem(
        problem.law, problem.inputs, target, weights, problem.penalty, problem.space
    )
    starts = np.concatenate(
        [best_starts(resampled.rows(part))[:, 0] for part in np.array_split(np.arange(draws), max(1, draws // 1000))]
    )
    return minimise(resampled, starts, small=1e-9)[0]
