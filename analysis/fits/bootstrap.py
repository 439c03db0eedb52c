"""How sure a fit is: sandwich covariance and bootstrap draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from analysis.fits.newton import CHUNK, final_delta, in_parts, minimise, spread_of
from analysis.fits.problem import Problem
from analysis.fits.starts import best_starts
from analysis.laws import Array
from scaling.base import refuse_unknown


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


@dataclass(frozen=True)
class Bootstrap:
    """How sure a fit is, by fits to resampled runs.

    Attributes
    ----------
    draws : int
        Their number; 0 for none.
    resample : "pairs", "cluster", "residual" or array ``(draws, n_runs)``
        ``pairs`` draws runs with replacement, ``cluster`` whole clusters (checkpoints of one run,
        seeds of one configuration), ``residual`` keeps the inputs and adds smoothed residuals
        (``smooth_residuals``) to the fitted values; an array says itself how often each fitted
        run counts.
    cluster : str, optional
        The column that names the cluster; clusters are then drawn, not pairs.

    Raises
    ------
    ValueError
        If the number is none, ``resample`` is not known, or it and ``cluster`` do not go together.
    """

    draws: int = 1000
    resample: str | Array = "pairs"
    cluster: str | None = None

    def __post_init__(self) -> None:
        draws = self.draws
        if isinstance(draws, bool) or not isinstance(draws, Integral) or draws < 0:
            raise ValueError(f"bootstrap is {draws}; it is a number of draws: 0 for none, or 1000")
        if not isinstance(self.resample, str):
            return
        if self.resample not in RESAMPLES:
            refuse_unknown(self.resample, RESAMPLES, "resample")
        if self.cluster is None and self.resample == "cluster":
            raise ValueError("resample='cluster' needs cluster=, the column that names the cluster")
        if self.cluster is not None and self.resample == "residual":
            raise ValueError("cluster= draws groups of rows, resample='residual' none: give one")
        if self.cluster is not None:
            object.__setattr__(self, "resample", "cluster")

    @property
    def drawn(self) -> str:
        """What is drawn, in a word."""
        return self.resample if isinstance(self.resample, str) else "given"


def resampled_fits(
    problem: Problem,
    theta: Array,
    how: Bootstrap,
    clusters: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Array:
    """Fit coordinates ``(draws, p)`` of fits to resampled runs, each restarted globally.

    ``theta (p,)`` is the fit to all runs; ``clusters (n,)`` the number of each run's cluster.
    """
    rng = np.random.default_rng(seed)
    draws, resample = how.draws, how.resample
    n = problem.target.shape[-1]
    resampled = problem
    if not isinstance(resample, str):
        if resample.shape != (draws, n):
            raise ValueError(f"resample has shape {resample.shape}; {draws} draws of {n} runs")
        resampled = problem.with_weights(problem.weights * resample)
    elif resample == "residual":
        r = problem.residuals(theta[None])[0]
        noise = smooth_residuals(r, problem.weights, len(theta), draws, rng)
        resampled = replace(problem, target=problem.target + r - noise)
    else:
        groups = np.arange(n) if clusters is None else clusters
        count = int(groups.max()) + 1
        times = np.empty((draws, count), dtype=int)
        for stratum in _strata(problem, groups, count):
            m = len(stratum)
            drawn = rng.integers(0, m, (draws, m)) + m * np.arange(draws)[:, None]
            times[:, stratum] = np.bincount(drawn.ravel(), minlength=draws * m).reshape(draws, m)
        resampled = problem.with_weights(problem.weights * times[:, groups])
    keep = restarts(problem)

    def refit(part: slice) -> Array:
        drawn = resampled.rows(part)
        starts = best_starts(drawn, keep)
        k, keep_, p = starts.shape
        found, objectives = minimise(
            drawn.repeat(keep_), starts.reshape(k * keep_, p), small=1e-7, coarse=True
        )
        best = objectives.reshape(k, keep_).argmin(axis=1)
        chosen: Array = found.reshape(k, keep_, p)[np.arange(k), best]
        return chosen

    return np.concatenate(in_parts(refit, draws, CHUNK // keep))


def _strata(problem: Problem, clusters: NDArray[np.intp], count: int) -> list[NDArray[np.intp]]:
    """The clusters that are drawn among each other: of a law with groups, those of one group.

    A draw without any row of a group would say nothing of that group's parameters. Clusters that
    reach over groups, such as runs with several responses, are all drawn together.
    """
    groups = problem.law.groups
    if groups is not None:
        cells = [rows for _, rows in groups.cells(problem.inputs[len(groups.law.inputs) :])]
        parts = [np.unique(clusters[rows]) for rows in cells]
        if sum(map(len, parts)) == count:
            return parts
    return [np.arange(count)]


def smooth_residuals(
    r: Array, weights: Array, n_params: int, draws: int, rng: np.random.Generator
) -> Array:
    """Residuals ``(draws, n)`` drawn from a kernel estimate of their density.

    The precision of a fit near the least-absolute-deviation limit rests on the density of the
    residuals at zero, and as many residuals as parameters are zero there: drawn as they are,
    90 % intervals held 81 to 84 % of planted values (benchmarks/RESULTS.md). Those that the fit
    passes through are therefore not drawn, and a normal kernel of Silverman's width is added.
    Source: De Angelis, Hall and Young 1993, J. Am. Stat. Assoc. 88, 1310.
    """
    n = len(r)
    centred = r - np.average(r, weights=weights)
    kept = np.argsort(np.abs(r))[n_params if n > 3 * n_params else 0 :]
    low, high = np.quantile(centred, [0.25, 0.75])
    width = 0.9 * min(centred.std(), (high - low) / 1.349) * n**-0.2
    drawn = centred[kept][rng.integers(0, len(kept), (draws, n))]
    drawn *= np.sqrt(n / max(n - n_params, 1))
    return np.asarray(drawn + width * rng.standard_normal((draws, n)))


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
