"""A damped Newton method with bounds, for many draws at once, with continuation in delta.

Near the least-absolute-deviation limit the objective is a polyhedron with many near-corners,
and a solver started there stops at the first. Each draw's penalty is therefore a smooth one
whose delta falls step by step from the scale of its residuals, as soon as the last step gained
little; the penalty itself comes last.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from os import cpu_count
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.fits.linear import solve
from analysis.fits.problem import Problem
from analysis.laws import Array

S = TypeVar("S")
T = TypeVar("T")

CHUNK = 512
"""Draws handled together: enough for numpy to work while the other threads' Python runs."""

COARSE = 1e-4
"""Delta, relative to the observations, down to which single precision tells steps apart."""

SAME = 1e-6
"""Relative difference of objectives below which two starts found the same optimum."""

NEAR_START, NEAR = 0.25, 1e-2
"""Relative difference of objectives, at first and on the way, up to which two starts may meet."""

REACH = 2.0
"""Median residuals that the continuation starts at, from far off."""

PASSES = 200


def minimise(
    problem: Problem, theta: Array, small: float = 1e-10, reach: float = REACH
) -> tuple[Array, Array]:
    """Local minima ``(k, p)`` from the starts ``theta (k, p)`` and their objectives ``(k,)``.

    A draw is done after a Newton step that promised to gain less than ``small`` of it. The
    continuation starts at ``reach`` times the median residual: from far off all starts go down
    one valley, from near each finds the minimum of its own neighbourhood.
    """

    def descend(draws: slice) -> tuple[Array, Array]:
        part = problem.rows(draws)
        found = _closely(part, _Path.of(part, theta[draws], reach), small)
        return found, part.objective(found)

    found, objectives = zip(*in_parts(descend, len(theta)), strict=True)
    return np.concatenate(found), np.concatenate(objectives)


def best_of(
    problem: Problem, starts: Array, small: float = 1e-7
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The best minimum of each draw from its starts ``(k, m, p)``, most of the way in single
    precision: ``(k, p)``, its objective ``(k,)``, and whether all starts ended at it ``(k,)``.

    A start goes no further once it is in one valley with an earlier one of the draw.
    """
    k, m, p = starts.shape
    theta = problem.clip(starts)
    met = _begin_in_one_valley(problem, theta)
    going = np.flatnonzero(~met)
    each, flat = problem.repeat(m), theta.reshape(k * m, p)
    part = each.rows(going)
    path = _roughly(part, _Path.of(part, flat[going], REACH), small)
    flat[going] = path.theta
    met |= _are_in_one_valley(problem, theta)
    last = np.flatnonzero(~met.ravel()[going])
    part = each.rows(going[last])
    flat[going[last]] = _closely(part, path.rows(last), small)
    objectives = np.full((k, m), np.inf)
    objectives.ravel()[going[last]] = part.objective(flat[going[last]])
    best = objectives.argmin(axis=1)
    least = objectives[np.arange(k), best]
    agreed = met | (objectives <= least[:, None] * (1 + SAME))
    return theta[np.arange(k), best], least, agreed.all(axis=1)


def _begin_in_one_valley(problem: Problem, theta: Array) -> NDArray[np.bool_]:
    """Which starts ``theta (k, m, p)`` need not be followed beside the first one, ``(k, m)``.

    Those little higher than it from which no ridge of the smooth objective parts it.
    """
    k, m, _ = theta.shape
    met = np.zeros((k, m), dtype=bool)
    first = theta[:, 0]
    delta = _Path.of(problem, first, REACH).delta
    rough = problem.single()
    for j in range(1, m):
        at = [first + share * (theta[:, j] - first) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
        height = np.array([rough.smoothed(x, rough.residuals(x), delta, False) for x in at])
        rises = np.diff(height, axis=0) > 0
        ridge = (rises[:-1] & ~rises[1:]).any(axis=0)
        met[:, j] = ~ridge & (height[-1] <= (1 + NEAR_START) * height[0])
    return met


def _are_in_one_valley(problem: Problem, theta: Array) -> NDArray[np.bool_]:
    """Which of ``theta (k, m, p)`` on their way have come to an earlier one's, ``(k, m)``.

    Those of about the same objective that no ridge parts.
    """
    k, m, _ = theta.shape
    met = np.zeros((k, m), dtype=bool)
    if problem.penalty.loss_fn in ("mse", "tukey"):  # not on their way yet
        return met
    rough = problem.single()
    at = np.stack([rough.objective(theta[:, i]) for i in range(m)], axis=1)
    for i, j in combinations(range(m), 2):
        higher = np.maximum(at[:, i], at[:, j])
        between = rough.objective(0.5 * (theta[:, i] + theta[:, j]))
        met[:, j] |= (between <= higher) & (higher <= (1 + NEAR) * np.minimum(at[:, i], at[:, j]))
    return met


def in_parts(work: Callable[[slice], T], count: int, size: int = CHUNK) -> list[T]:
    """What ``work`` gives for each part of ``count`` draws, in order, on all processors."""
    pieces = math.ceil(count / size)
    edges = [count * i // pieces for i in range(pieces + 1)]
    parts = [slice(*edge) for edge in pairwise(edges)]
    if len(parts) == 1:
        return [work(parts[0])]
    return in_turn(work, parts, cpu_count() or 1)


def in_turn(work: Callable[[S], T], parts: Iterable[S], workers: int) -> list[T]:
    """What ``work`` gives for each of ``parts``, in order, by as many threads.

    A part is not made before a thread is nearly free for it, so that few are in memory.
    """
    done: list[T] = []
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for part in parts:
            if len(waiting) > workers:
                done.append(waiting.popleft().result())
            waiting.append(pool.submit(work, part))
        return [*done, *(future.result() for future in waiting)]


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


@dataclass(frozen=True)
class _Path:
    """Where each draw is on its way, ``theta (k, p)``, and how smooth its penalty is there.

    ``delta (k,)`` falls to ``end`` on the smooth way, then the penalty itself comes, at ``last``;
    ``centred`` is how exactly the way is followed. ``smooth`` says whether it is still to go.
    """

    theta: Array
    delta: Array
    end: Array
    last: Array
    centred: Array
    smooth: bool = True

    @classmethod
    def of(cls, problem: Problem, theta: Array, reach: float) -> _Path:
        """The way from the starts ``theta``."""
        theta = problem.clip(theta)
        spread = spread_of(problem, theta)
        last = final_delta(problem, len(theta))
        half = np.full(len(theta), 0.5)
        if problem.penalty.loss_fn == "mse":
            return cls(theta, last, last, last, half)
        if problem.penalty.loss_fn == "tukey":
            wide = np.maximum(last, 3.5 * reach * spread)
            return cls(theta, wide, last, last, np.full(len(theta), 0.02))
        # near the limit the runs that the law goes through lie within some delta of it on the
        # smooth path, but must lie within one delta for Huber's Newton step to see them
        is_near = last < 0.05 * spread
        end = np.where(is_near, 0.03 * last, last)
        centred = np.where(is_near, 0.1, half)
        return cls(theta, np.maximum(end, reach * spread), end, last, centred)

    def rows(self, index: NDArray[np.intp]) -> _Path:
        """The way of the draws ``index`` only."""
        return _Path(
            self.theta[index],
            self.delta[index],
            self.end[index],
            self.last[index],
            self.centred[index],
            self.smooth,
        )


def _roughly(problem: Problem, path: _Path, small: float) -> _Path:
    """The path after what of the smooth way single precision can tell."""
    if problem.penalty.loss_fn in ("mse", "tukey"):
        return path
    least = np.minimum(np.maximum(path.end, COARSE * _size(problem)), path.delta)
    rough = problem.single()
    theta = _newton(rough, path.theta, path.delta, least, False, small, path.centred)
    if (least == path.last).all():
        theta = _newton(rough, theta, path.last, path.last, True, 1e-4)
    return replace(path, theta=theta, delta=least, smooth=bool((least > path.end).any()))


def _closely(problem: Problem, path: _Path, small: float) -> Array:
    """Minima ``(k, p)`` at the ends of the paths."""
    if problem.penalty.loss_fn in ("mse", "tukey"):
        return _newton(problem, path.theta, path.delta, path.last, True, small, path.centred)
    theta = path.theta
    if path.smooth:
        theta = _newton(problem, theta, path.delta, path.end, False, small, path.centred)
    return _newton(problem, theta, path.last, path.last, True, small)


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
    step = solve(h, g)
    return np.minimum(np.maximum(-step * inverse, -2.0), 2.0)
