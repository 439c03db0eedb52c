"""How sure a fit is: sandwich covariance and bootstrap draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from os import cpu_count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.fits.linear import eigen
from analysis.fits.newton import (
    CHUNK,
    SAME,
    best_of,
    final_delta,
    in_turn,
    minimise,
    spread_of,
)
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
    values, vectors = eigen(hessian[0][np.ix_(free, free)] / np.outer(size, size))
    values = np.maximum(values, 1e-10 * values.max(initial=1e-290))
    inverse = (vectors / values) @ vectors.T / np.outer(size, size)
    out[np.ix_(free, free)] = inverse @ (scores[free] @ scores[free].T) @ inverse
    return out


ELEMENTS = 2**21
"""Draws times runs that are in work at a time, by all threads together: some hundred MB."""

RESAMPLES = ("auto", "pairs", "cluster", "residual")


@dataclass(frozen=True)
class Bootstrap:
    """How sure a fit is, by fits to resampled runs.

    Attributes
    ----------
    draws : int
        Their number; 0 for none.
    resample : "auto", "pairs", "cluster", "residual" or array ``(draws, n_runs)``
        ``pairs`` draws rows with replacement, ``cluster`` whole clusters (checkpoints of one run,
        seeds of one configuration), ``auto`` those where rows hang together
        (``analysis.tables.structure``) and rows where they do not, ``residual`` keeps the inputs
        and adds smoothed residuals (``smooth_residuals``) to the fitted values; an array says
        itself how often each fitted run counts.
    cluster : str, optional
        The column that names the cluster; clusters are then drawn, not pairs.

    Raises
    ------
    ValueError
        If the number is none, ``resample`` is not known, or it and ``cluster`` do not go together.
    """

    draws: int = 1000
    resample: str | Array = "auto"
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
    def is_auto(self) -> bool:
        """Whether the table says what is drawn."""
        return isinstance(self.resample, str) and self.resample == "auto"

    @property
    def drawn(self) -> str:
        """What is drawn, in a word."""
        return self.resample if isinstance(self.resample, str) else "given"


@dataclass(frozen=True)
class Draws:
    """Fits to resampled runs: coordinates ``theta (k, p)`` and the number that ``failed``.

    A draw fails where the law has no value at a run, or none is found that fits the drawn runs as
    well as the estimate does; it is not among ``theta``.
    """

    theta: Array
    failed: int


def resampled_fits(
    problem: Problem,
    theta: Array,
    how: Bootstrap,
    clusters: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Draws:
    """Fits to resampled runs, each restarted globally and from the estimate ``theta (p,)``.

    ``clusters (n,)`` is the number of each run's cluster; draws of clusters are widened
    (``widened``). Only some draws are in memory at a time.
    """
    n = problem.target.shape[-1]
    if not isinstance(how.resample, str) and how.resample.shape != (how.draws, n):
        raise ValueError(f"resample has shape {how.resample.shape}; {how.draws} draws of {n} runs")
    keep = restarts(problem)
    workers = min(cpu_count() or 1, max(1, ELEMENTS // (2 * n)))
    size = max(1, min(CHUNK, ELEMENTS // (2 * workers * n)))
    resampled = _resampled(problem, theta, how, clusters, np.random.default_rng(seed), size)
    found = in_turn(lambda drawn: _refit(drawn, theta, keep), resampled, workers)
    ends, objectives, at_theta = (np.concatenate(x) for x in zip(*found, strict=True))
    good = (objectives <= at_theta * (1 + SAME)) & np.isfinite(ends).all(axis=1)
    ends = ends[good]
    if clusters is not None:
        ends = problem.clip(widened(ends, theta, int(clusters.max()) + 1))
    return Draws(ends, int((~good).sum()))


def widened(draws: Array, theta: Array, groups: int) -> Array:
    """Draws ``(k, p)`` of ``groups`` clusters, stretched about the estimate ``theta (p,)``.

    As far as a t interval of 90 % with G - 1 degrees of freedom is wider than a normal one whose
    variance is of G, not G - 1: percentiles of few clusters are too narrow (of 4, .81 held what
    .90 should; benchmarks/RESULTS.md). Source: Hesterberg 2015, Am. Stat. 69, 371, sec. 5.2.
    """
    wide = np.sqrt(groups / (groups - 1)) * stats.t.ppf(0.95, groups - 1) / stats.norm.ppf(0.95)
    return np.asarray(theta + wide * (draws - theta))


def _resampled(
    problem: Problem,
    theta: Array,
    how: Bootstrap,
    clusters: NDArray[np.intp] | None,
    rng: np.random.Generator,
    size: int,
) -> Iterator[Problem]:
    """The problems of the draws, ``size`` at a time."""
    n = problem.target.shape[-1]
    groups = np.arange(n) if clusters is None else clusters
    count = int(groups.max()) + 1
    r = problem.residuals(theta[None])[0]
    strata = _strata(problem, groups, count)
    for first in range(0, how.draws, size):
        draws = min(size, how.draws - first)
        times: NDArray[Any]
        if not isinstance(how.resample, str):
            times = how.resample[first : first + draws]
        elif how.resample == "residual":
            noise = smooth_residuals(r, problem.weights, len(theta), draws, rng)
            yield replace(problem, target=problem.target + r - noise)
            continue
        else:
            each = np.empty((draws, count), dtype=int)
            for stratum in strata:
                m = len(stratum)
                drawn = rng.integers(0, m, (draws, m)) + m * np.arange(draws)[:, None]
                each[:, stratum] = np.bincount(drawn.ravel(), minlength=draws * m).reshape(draws, m)
            times = each[:, groups]
        yield problem.with_weights(problem.weights * times)


def _refit(drawn: Problem, theta: Array, keep: int) -> tuple[Array, Array, Array]:
    """Fits ``(k, p)`` to some draws, their objectives ``(k,)``, and those of ``theta``.

    Each descends from the estimate and from the best point of the grid. Where these do not meet,
    it does from ``keep`` points of the grid, and from the estimate in double precision; near the
    least-absolute-deviation limit, where corners lie closer than single precision can tell, always.
    """
    with np.errstate(all="ignore"):  # where a law has no value, another start may have one
        grid = best_starts(drawn, keep)
        k = len(grid)
        estimate = np.repeat(drawn.clip(theta)[None], k, axis=0)
        at_theta = drawn.objective(estimate)
        found, objectives, agreed = best_of(drawn, np.stack([estimate, grid[:, 0]], axis=1))
        open_ = np.flatnonzero(~(agreed & (objectives <= at_theta)) | is_sharp(drawn))
        if len(open_):
            rest = drawn.rows(open_)
            others = [minimise(rest, estimate[open_], reach=reach) for reach in (2.0, 0.02)]
            if keep > 1:
                others.append(best_of(rest, grid[open_, 1:])[:2])
            for theta_, objective in others:
                better = objective < objectives[open_]
                found[open_[better]] = theta_[better]
                objectives[open_[better]] = objective[better]
    return found, objectives, at_theta


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
    few = problem.target.shape[-1] < 60
    return 1 + 3 * hard + 3 * (is_sharp(problem) and few)


def is_sharp(problem: Problem) -> bool:
    """Whether the penalty is near the least-absolute-deviation limit."""
    return problem.penalty.loss_fn == "lad" or problem.penalty.delta < 1e-4
