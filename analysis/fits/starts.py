"""Global starting points: linear parameters projected out over a grid of the others.

For each point of a grid over the shape parameters (exponents) the best linear parameters solve
a small least-squares problem whose normal equations, for all draws of a bootstrap at once, are
one matrix product (variable projection; Golub and Pereyra 1973). The best grid points are
settled by Gauss-Newton steps on the shapes alone (Kaufman 1975).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from analysis.fits.linear import solve
from analysis.fits.problem import Problem
from analysis.laws import Array, Law

GRID = 64
"""Number of grid points aimed at, whatever the number of shape parameters."""

PASSES = 30
"""Gauss-Newton steps on the shapes; a start need not be converged."""


def best_starts(problem: Problem, keep: int = 1) -> Array:
    """The ``keep`` best candidates of each draw, ``(k, keep, p)`` in fit coordinates."""
    params, cost = project(problem, candidates(problem))
    order = np.argsort(cost, axis=0)[:keep]
    chosen = params[order, np.arange(cost.shape[1])]
    return problem.clip(problem.coordinates(chosen.swapaxes(0, 1)))


def random_starts(problem: Problem, count: int, rng: np.random.Generator) -> Array:
    """Independent starts ``(count, p)``: least-squares fits from random shapes.

    The runs of each count with random (exponential) weights, so that the starts differ by about
    as much as fits to other samples would.
    """
    law, n = problem.law, problem.target.shape[-1]
    if law.starts is None:
        shapes = random_shapes(law, count, rng)
    else:
        pool = candidates(problem)
        shapes = pool[rng.integers(0, len(pool), count)]
        shapes = shapes * np.exp(rng.normal(0.0, 0.3, shapes.shape))
    weights = problem.weights * rng.exponential(size=(count, n))
    return settle(problem.with_weights(weights), problem.clip(problem.coordinates(shapes)))


def random_shapes(law: Law, count: int, rng: np.random.Generator) -> Array:
    """Parameters ``(count, p)`` drawn from the start ranges; the same in all groups."""
    if law.groups is not None:
        return law.groups.expand(random_shapes(law.groups.law, count, rng))
    shapes = np.ones((count, len(law.parameters)))
    for i, p in enumerate(law.parameters):
        low, high = p.start
        u = rng.random(count)
        shapes[:, i] = low * (high / low) ** u if p.scale == "log" else low + (high - low) * u
    return shapes


def candidates(problem: Problem) -> Array:
    """Parameters ``(g, p)`` to start from: the law's own, or a grid over its shape parameters."""
    law = problem.law
    if law.starts is None:
        return shape_grid(law)
    observed, _ = _square(problem)
    try:
        pool = law.starts(observed.mean(axis=0), *problem.inputs)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{law.name} finds no point to start from: it has no finite value near these "
            f"observations ({observed.min():.3g} to {observed.max():.3g}); choose another law, or "
            "mend the column"
        ) from None
    pool = pool[np.isfinite(pool).all(axis=1)]
    return problem.params(
        problem.clip(problem.coordinates(np.where(law.on_log, np.maximum(pool, 1e-300), pool)))
    )


@lru_cache(maxsize=32)
def shape_grid(law: Law) -> Array:
    """Parameters ``(g, p)`` over the start ranges of the shape parameters; linear ones are 1.

    Of a law with groups, the same in all of them.
    """
    if law.groups is not None:
        return law.groups.expand(shape_grid(law.groups.law))
    shapes = [p for p in law.parameters if p.name not in law.linear]
    each = max(3, round(GRID ** (1 / max(len(shapes), 1))))
    axes = [
        np.geomspace(*p.start, each) if p.scale == "log" else np.linspace(*p.start, each)
        for p in shapes
    ]
    points = np.array(list(product(*axes)))
    out = np.ones((len(points), len(law.parameters)))
    out[:, [law.names.index(p.name) for p in shapes]] = points
    return out


def project(problem: Problem, shapes: Array) -> tuple[Array, Array]:
    """``shapes (g, p)`` with linear parameters fitted: ``(g, k, p)``, and the cost ``(g, k)``.

    The cost is the weighted square of relative deviations in log space (to first order the
    residuals of log loss), of deviations in linear space.
    """
    law = problem.law
    observed, weights = _square(problem)
    if not law.linear:
        predicted = law.predict(shapes, *problem.inputs)
        if len(observed) > 1:  # one grid point after the other: all draws fill the memory
            cost = np.stack([((x - observed) ** 2 * weights).sum(axis=-1) for x in predicted])
        else:
            cost = (predicted - observed) ** 2 @ weights.T
        params = np.repeat(shapes[:, None], cost.shape[1], axis=1)
        return params, np.where(np.isfinite(cost), cost, np.inf)
    linear, design, offset = _affine_grid(problem, shapes)
    g, m, n = design.shape
    pairs = [(i, j) for i in range(m) for j in range(i + 1)]
    if len(weights) == 1:
        weighted = design * weights
        gram = np.matmul(weighted, design.swapaxes(-1, -2))
        packed = np.stack([gram[:, i, j, None] for i, j in pairs])
        moment = np.matmul(weighted, observed.T).swapaxes(0, 1)
    else:
        rows = [design[:, i] * design[:, j] for i, j in pairs]
        packed = (np.concatenate(rows) @ weights.T).reshape(len(rows), g, -1)
        flat = design.swapaxes(0, 1).reshape(m * g, n)
        moment = (flat @ (weights * observed).T).reshape(m, g, -1)
    square = np.einsum("kn,kn->k", *np.broadcast_arrays(weights, observed**2))
    if offset is not None:
        shifted = (design * offset[:, None]).swapaxes(0, 1).reshape(m * g, n)
        moment = moment - (shifted @ weights.T).reshape(m, g, -1)
        square = square - 2 * offset @ (weights * observed).T + offset**2 @ weights.T
    coefficients = _least_squares(packed, moment, _floors(law, design, observed).T[:, :, None])
    cost = square - 2 * np.einsum("mgk,mgk->gk", coefficients, moment)
    for index, (i, j) in enumerate(pairs):
        twice = 1 if i == j else 2
        cost = cost + twice * packed[index] * coefficients[i] * coefficients[j]
    params = np.repeat(shapes[:, None], cost.shape[-1], axis=1)
    params[..., linear] = np.moveaxis(np.broadcast_to(coefficients, (m, *cost.shape)), 0, -1)
    return params, np.where(np.isfinite(cost), cost, np.inf)


def settle(problem: Problem, theta: Array) -> Array:
    """``theta (k, p)`` after Gauss-Newton steps on the shapes, linear parameters projected out.

    Least squares of relative deviations (log space) or deviations; each draw by itself.
    """
    law = problem.law
    low, high = problem.bounds
    shape = np.array([name not in law.linear for name in law.names])
    observed, weights = _square(problem)
    on_log = law.on_log

    def projected(theta: Array) -> tuple[Array, Array, Array]:
        params = problem.params(np.clip(theta, low, high))
        if law.linear:
            params = _with_coefficients(problem, params, observed, weights)
        r = law.predict(params, *problem.inputs) - observed
        cost = np.einsum("kn,kn->k", np.broadcast_to(weights, r.shape), r * r)
        return (
            np.clip(problem.coordinates(params), low, high),
            r,
            np.where(np.isfinite(cost), cost, np.inf),
        )

    theta, r, cost = projected(theta)
    if not shape.any():
        return theta
    damping = np.full(len(theta), 1e-3)
    diagonal = np.arange(theta.shape[1])
    for _ in range(PASSES):
        params = problem.params(theta)
        jacobian = law.gradient(params, *problem.inputs) * np.where(on_log, params, 1.0)[..., None]
        weighted = jacobian * weights[:, None, :]
        h = np.matmul(weighted, jacobian.swapaxes(-1, -2))
        g = np.matmul(weighted, r[..., None])[..., 0]
        size = np.sqrt(h[:, diagonal, diagonal]) + 1e-150
        h = h / (size[:, :, None] * size[:, None, :])
        h[:, diagonal, diagonal] += damping[:, None]
        step = -solve(h, g / size) / size
        step = np.where(np.isfinite(step), np.clip(step, -1.0, 1.0), 0.0)
        trial, r_trial, cost_trial = projected(theta + np.where(shape, step, 0.0))
        better = cost_trial < cost
        theta = np.where(better[:, None], trial, theta)
        r = np.where(better[:, None], r_trial, r)
        gained = np.where(better, 1 - cost_trial / cost, 0.0)
        cost = np.where(better, cost_trial, cost)
        damping = np.where(better, damping * 0.1, damping * 10)
        if (gained[better] < 1e-3).all() and better.mean() > 0.8:
            break
    return theta


def _with_coefficients(problem: Problem, params: Array, observed: Array, weights: Array) -> Array:
    """``params (k, p)`` with the linear ones fitted to each draw's runs."""
    linear, design, offset = _affine(problem.law, params, problem.inputs)
    weighted = design * weights[:, None, :]
    gram = np.matmul(weighted, design.swapaxes(-1, -2))
    rest = observed if offset is None else observed - offset
    moment = np.matmul(weighted, rest[..., None])[..., 0]
    m = design.shape[1]
    packed = np.stack([gram[:, i, j] for i in range(m) for j in range(i + 1)])
    floors = _floors(problem.law, design, observed)
    coefficients = _least_squares(packed, moment.T, floors.T)
    pinned = floors >= coefficients.T
    if pinned.any():
        # again, with those at their floor held there
        held = np.where(pinned, coefficients.T, 0.0)
        rest = moment - np.matmul(gram, held[..., None])[..., 0]
        free = ~(pinned[:, :, None] | pinned[:, None, :])
        gram = np.where(free, gram, 0.0) + np.eye(m) * pinned[:, None, :]
        packed = np.stack([gram[:, i, j] for i in range(m) for j in range(i + 1)])
        coefficients = _least_squares(packed, np.where(pinned, held, rest).T, floors.T)
    out = params.copy()
    out[:, linear] = coefficients.T
    return out


def _affine(
    law: Law, params: Array, inputs: tuple[Array, ...]
) -> tuple[slice | list[int], Array, Array | None]:
    """Where the linear parameters are, their columns ``(k, m, n)`` and what they are added to.

    The last is None where that is zero.
    """
    linear = law.place
    design = law.gradient(params, *inputs)[:, linear]
    if law.is_sum:
        return linear, design, None
    base = params.copy()
    base[:, linear] = 0.0
    return linear, design, law.predict(base, *inputs)


def _affine_grid(problem: Problem, shapes: Array) -> tuple[slice | list[int], Array, Array | None]:
    """``_affine`` with the law in single precision, which starts do not miss, if that holds it."""
    inputs = problem.single().inputs
    with np.errstate(all="ignore"):
        linear, design, offset = _affine(problem.law, shapes.astype(np.float32), inputs)
        sums = design.sum() + (0.0 if offset is None else offset.sum())
    if not np.isfinite(sums):
        return _affine(problem.law, shapes, problem.inputs)
    return linear, design.astype(float), None if offset is None else offset.astype(float)


def _square(problem: Problem) -> tuple[Array, Array]:
    """Observations and weights, ``(k, n)`` or ``(1, n)``, of the least-squares problem."""
    target, weights = np.atleast_2d(problem.target), np.atleast_2d(problem.weights)
    if problem.space == "linear":
        return target, weights
    observed = np.exp(target)
    return observed, weights / observed**2


def _floors(law: Law, design: Array, observed: Array) -> Array:
    """Least values ``(k, m)`` of the coefficients: bounds, or 1 % of the observation if positive.

    A positive parameter may not start at zero, where its logarithm has no slope.
    """
    size = 0.01 * np.abs(observed).mean() / (np.abs(design).mean(axis=-1) + 1e-300)
    parameters = [p for p in law.parameters if p.name in law.linear]
    on_log = np.array([p.scale == "log" for p in parameters])
    return np.where(on_log, size, np.array([p.low for p in parameters]))


def _least_squares(packed: Array, moment: Array, floors: Array) -> Array:
    """Solve m x m systems elementwise over all other axes, then raise answers to ``floors``.

    ``packed`` is the lower triangle, row by row, ``(m (m + 1) / 2, ...)``; ``moment (m, ...)``.
    The unit diagonal gets 1e-10, so that collinear columns give finite answers.
    """
    m = len(moment)
    start = [i * (i + 1) // 2 for i in range(m)]
    size = [np.sqrt(np.maximum(packed[start[i] + i], 1e-300)) for i in range(m)]
    factor: list[list[Array]] = []
    half: list[Array] = []
    for i in range(m):
        row: list[Array] = []
        for j in range(i):
            value = packed[start[i] + j] / (size[i] * size[j])
            for q in range(j):
                value = value - row[q] * factor[j][q]
            row.append(value / factor[j][j])
        right = moment[i] / size[i]
        left = np.full_like(size[i], 1.0 + 1e-10)
        for q in range(i):
            left = left - row[q] ** 2
            right = right - row[q] * half[q]
        row.append(np.sqrt(np.maximum(left, 1e-12)))
        factor.append(row)
        half.append(right / row[i])
    answer: list[Array] = list(half)
    for i in reversed(range(m)):
        value = half[i]
        for q in range(i + 1, m):
            value = value - factor[q][i] * answer[q]
        answer[i] = value / factor[i][i]
    return np.stack([np.maximum(answer[i] / size[i], floors[i]) for i in range(m)])
