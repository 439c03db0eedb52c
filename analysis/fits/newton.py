"""A damped Newton method with bounds, for many draws at once, with continuation in delta.

Near the least-absolute-deviation limit the objective is a polyhedron with many near-corners,
and a solver started there stops at the first. Each draw's penalty is therefore a smooth one
whose delta falls step by step from the scale of its residuals, as soon as the last step gained
little; the penalty itself comes last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from os import cpu_count
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.fits.problem import Problem
from analysis.laws import Array

T = TypeVar("T")

CHUNK = 512
"""Draws handled together: enough for numpy to work while the other threads' Python runs."""

COARSE = 1e-4
"""Delta, relative to the observations, down to which single precision tells steps apart."""

PASSES = 200


def minimise(
    problem: Problem,
    theta: Array,
    small: float = 1e-10,
    reach: float = 2.0,
    coarse: bool = False,
) -> tuple[Array, Array]:
    """Local minima ``(k, p)`` from the starts ``theta (k, p)`` and their objectives ``(k,)``.

    A draw is done after a Newton step that promised to gain less than ``small`` of it. The
    continuation starts at ``reach`` times the median residual: from far off all starts go down
    one valley, from near each finds the minimum of its own neighbourhood. With ``coarse`` it runs
    in single precision, in which many draws take half the time; the last steps do not.
    """

    def descend(draws: slice) -> tuple[Array, Array]:
        part = problem.rows(draws)
        found = _descend(part, theta[draws], small, reach, coarse)
        return found, part.objective(found)

    found, objectives = zip(*in_parts(descend, len(theta)), strict=True)
    return np.concatenate(found), np.concatenate(objectives)


def in_parts(work: Callable[[slice], T], count: int, size: int = CHUNK) -> list[T]:
    """What ``work`` gives for each part of ``count`` draws, in order, on all processors."""
    pieces = math.ceil(count / size)
    edges = [count * i // pieces for i in range(pieces + 1)]
    parts = [slice(*edge) for edge in pairwise(edges)]
    if len(parts) == 1:
        return [work(parts[0])]
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(work, parts))


def final_delta(problem: Problem, count: int) -> Array:
    """The delta ``(count,)`` that the continuation ends at: next to nothing for ``lad``."""
    if problem.penalty.loss_fn != "lad":
        return np.full(count, problem.penalty.delta)
    return np.full(count, 1e-9 * _size(problem))


def _size(problem: Problem) -> float:
    """What a relative deviation is measured by: 1 for logarithms, else the mean observation."""
    return 1.0 if problem.space == "log" else float(np.abs(problem.target).mean())


def spread_of(problem: Problem, theta: Array) -> Array:
    """Median absolute residual ``(k,)``."""
    size = np.abs(problem.residuals(theta))
    half = size.shape[-1] // 2
    middle: Array = np.partition(size, half, axis=-1)[..., half]
    return np.clip(middle, 1e-12, 1e6)


def _descend(problem: Problem, theta: Array, small: float, reach: float, coarse: bool) -> Array:
    low, high = problem.bounds
    theta = np.clip(theta, low, high)
    spread = spread_of(problem, theta)
    last = final_delta(problem, len(theta))
    if problem.penalty.loss_fn == "mse":
        return _newton(problem, theta, last, last, True, small)
    if problem.penalty.loss_fn == "tukey":
        wide = np.maximum(last, 3.5 * reach * spread)
        return _newton(problem, theta, wide, last, True, small, 0.02)
    # near the limit the runs that the law goes through lie within some delta of it on the smooth
    # path, but must lie within one delta for Huber's Newton step to see them
    is_near = last < 0.05 * spread
    end = np.where(is_near, 0.03 * last, last)
    centred = np.where(is_near, 0.1, 0.5)
    delta = np.maximum(end, reach * spread)
    if coarse:
        least = np.minimum(np.maximum(end, COARSE * _size(problem)), delta)
        rough = problem.single()
        theta = _newton(rough, theta, delta, least, False, small, centred)
        if (least == last).all():
            theta = _newton(rough, theta, last, last, True, 1e-4)
        delta = least
    if not coarse or (delta > end).any():
        theta = _newton(problem, theta, delta, end, False, small, centred)
    return _newton(problem, theta, last, last, True, small)


def _newton(
    problem: Problem,
    theta: Array,
    delta: Array,
    last: Array,
    exact: bool,
    small: float,
    centred: Array | float = 0.5,
) -> Array:
    """Newton steps with Levenberg damping in the metric of ``scale``; each draw by itself.

    ``delta (k,)`` falls to ``last``, each time when the step promises less than the share
    ``centred`` of what smoothing adds to the objective; only an ``exact`` penalty is minimised
    to the last digit.
    """
    low, high = problem.bounds
    # smoothing adds about delta^2 for each parameter
    enough = np.full(len(theta), centred) * theta.shape[1] * float(problem.weights.mean())
    out = theta.copy()
    open_ = np.arange(len(theta))
    part, here, wide, damping = problem, theta.copy(), delta / 4, np.full(len(theta), 1e-6)
    r, jacobian = part.look(here)
    value = part.smoothed(here, r, delta, exact)
    for _ in range(PASSES):
        gradient, hessian, scale = part.derivatives(here, r, delta, exact, jacobian)
        stuck = np.where(gradient > 0, here <= low, here >= high)
        if problem.held:
            stuck[:, problem.held] = True
        step = _step(stuck, gradient, hessian, scale, damping)
        trial = np.minimum(np.maximum(here + step, low), high)
        r_trial, jacobian_trial = part.look(trial)
        reached = part.smoothed(trial, r_trial, delta, exact)
        better = reached < value
        promised = -np.einsum("kp,kp->k", gradient, trial - here)
        flat = np.abs(promised) <= small * value
        done = delta <= last
        little = (better & (promised < enough * delta**2)) | flat | (damping > 1e6)
        over = done & (flat | (damping > 1e8) | (little & (not exact)))
        if better.all():
            here, r, jacobian, value = trial, r_trial, jacobian_trial, reached
            damping = np.maximum(0.1 * damping, 1e-12)
        else:
            here[better], r[better], value[better] = trial[better], r_trial[better], reached[better]
            if jacobian is not None and jacobian_trial is not None:
                jacobian[better] = jacobian_trial[better]
            damping = np.where(
                better | (little & ~done),
                np.maximum(0.1 * damping, 1e-12),
                np.maximum(10 * damping, 1e-6),
            )
        if little.any():
            lower = np.maximum(last, delta / np.where(delta > wide, 4.0, 2.0))
            delta = np.where(little, lower, delta)
        if over.any():
            out[open_[over]] = here[over]
            keep = ~over
            open_ = open_[keep]
            if not len(open_):
                return out
            here, r, value, damping = here[keep], r[keep], value[keep], damping[keep]
            jacobian = None if jacobian is None else jacobian[keep]
            delta, last, wide, part = delta[keep], last[keep], wide[keep], problem.rows(open_)
            little, done, enough = little[keep], done[keep], enough[keep]
        if (little & ~done).any():
            value = part.smoothed(here, r, delta, exact)
    out[open_] = here
    return out


def _step(
    stuck: NDArray[np.bool_], gradient: Array, hessian: Array, scale: Array, damping: Array
) -> Array:
    """The damped Newton step ``(k, p)``, zero for coordinates that are held or at a bound."""
    inverse = 1.0 / scale
    h = hessian * inverse[:, :, None] * inverse[:, None, :]
    g = gradient * inverse
    diagonal = h.reshape(len(h), -1)[:, :: h.shape[1] + 1]  # a view
    diagonal += damping[:, None]
    if stuck.any():
        h[stuck[:, :, None] | stuck[:, None, :]] = 0.0
        diagonal += stuck
        g[stuck] = 0.0
    try:
        step = np.linalg.solve(h, g[..., None])[..., 0]
    except np.linalg.LinAlgError:
        diagonal += 1e-10
        step = np.linalg.solve(h, g[..., None])[..., 0]
    return np.minimum(np.maximum(-step * inverse, -2.0), 2.0)
