"""Resampling: bootstrap draws, each fitted from a global start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.laws.base import Array
from analysis.newton import minimise
from analysis.problem import Problem
from analysis.starts import best_starts
from scaling.names import refuse_unknown

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
    return minimise(resampled, starts)[0]
