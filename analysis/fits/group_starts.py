"""Starting points of a law with groups: fits of each group by itself, put together.

A search over all groups at once multiplies the chances of each to go astray: of 30 groups of
which each finds its optimum nine times in ten, all do so four times in a hundred. Given what the
groups share, they have nothing to do with each other and are fitted apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.fits.newton import minimise
from analysis.fits.problem import Problem
from analysis.fits.starts import best_starts, random_starts
from analysis.laws import Array

TRIES = 3
"""Random starts of a group of which one independent start has the best."""

GRID = 4
"""Best grid points that are polished, of a group and of all rows as one."""

ROUGH = 1e-6
"""Relative gain below which a start is polished enough."""


def group_starts(problem: Problem, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Starts ``(m, p)``, and ``count`` independent ones ``(count, p)``.

    Each takes a guess of what groups share (from one group, the median of all groups, or all rows
    as one group) and gives each group what its own rows say beside that. A group with fewer rows
    than the law of one group has parameters begins with what all rows say.
    """
    groups = problem.law.groups
    assert groups is not None
    cells = list(groups.cells(problem.inputs[len(groups.law.inputs) :]))
    size = len(groups.law.parameters)
    (from_all,) = _optima([_of_one_group(problem, slice(None))], count, rng)
    parts = [_of_one_group(problem, rows) for _, rows in cells]
    many = [i for i, (_, rows) in enumerate(cells) if len(rows) >= size]
    found = np.repeat(from_all[None], len(cells), axis=0)  # (cells, GRID + count, q)
    if many:
        found[many] = _optima([parts[i] for i in many], count, rng)
    grouped = dict(groups.by)
    shared = np.array([name not in grouped for name in groups.law.names])
    if shared.any():
        guesses = np.concatenate([np.median(found[:, :1], axis=0), from_all[:GRID],
                                  found[rng.integers(0, len(cells), count),
                                        GRID + np.arange(count)]])  # fmt: skip
        held = tuple(np.flatnonzero(shared).tolist())
        found = _beside([replace(part, held=held) for part in parts], guesses, found, shared)
    each = np.full((len(cells), found.shape[1], len(problem.law.parameters)), np.nan)
    for i, (place, _) in enumerate(cells):
        each[i][:, place] = found[i]
    whole = problem.clip(groups.expand(from_all[:GRID]))
    empty = np.isnan(each).all(axis=(0, 1))  # no row is of that group
    each[..., empty] = whole[0, empty]
    joined = problem.clip(np.nanmedian(each, axis=0))
    first = len(joined) - count
    return np.concatenate([joined[:first] if shared.any() else joined[:1], whole]), joined[first:]


def _beside(parts: list[Problem], guesses: Array, found: Array, shared: NDArray[np.bool_]) -> Array:
    """The groups' best parameters ``(cells, g, q)``, those ``shared`` as the ``guesses`` say."""
    count = len(guesses)
    own = found[:, np.arange(count) % found.shape[1]]
    first = np.repeat(found[:, :1], count, axis=1)
    tries = np.stack([own, first, np.broadcast_to(guesses, own.shape)], axis=1)
    tries = np.where(shared, guesses, tries)
    flat = tries.reshape(len(parts), -1, tries.shape[-1])
    theta, objectives = _minima(parts, flat)
    best = objectives.reshape(tries.shape[:3]).argmin(axis=1)
    cells = np.arange(len(parts))[:, None]
    chosen: Array = theta.reshape(tries.shape)[cells, best, np.arange(count)]
    return chosen


def _minima(parts: list[Problem], starts: Array) -> tuple[Array, Array]:
    """Minima of each part from its starts ``(parts, m, q)``, and objectives ``(parts, m)``.

    All at once where the law lets rows have inputs of their own: steps of small problems cost
    their number, not their size.
    """
    if len(parts) == 1 or not parts[0].law.by_row:
        found = [minimise(part, own, small=ROUGH) for part, own in zip(parts, starts, strict=True)]
        return np.stack([theta for theta, _ in found]), np.stack([least for _, least in found])
    times = starts.shape[1]
    length = max(part.target.shape[-1] for part in parts)

    def rows(values: list[Array], fill: float | None = None) -> Array:
        """Of each part, with rows that count nothing at the end of short ones, for each start."""
        padded = [
            np.append(x, np.full(length - len(x), x[0] if fill is None else fill)) for x in values
        ]
        return np.repeat(np.stack(padded), times, axis=0)

    together = replace(
        parts[0],
        inputs=tuple(rows([*each]) for each in zip(*(part.inputs for part in parts), strict=True)),
        target=rows([part.target for part in parts]),
        weights=rows([part.weights for part in parts], 0.0),
    )
    theta, objectives = minimise(together, starts.reshape(-1, starts.shape[-1]), small=ROUGH)
    return theta.reshape(starts.shape), objectives.reshape(starts.shape[:2])


def _of_one_group(problem: Problem, rows: NDArray[np.intp] | slice) -> Problem:
    """The problem of the law of one group, on some rows."""
    groups = problem.law.groups
    assert groups is not None
    n = len(groups.law.inputs)
    return Problem(
        groups.law,
        tuple(x[rows] for x in problem.inputs[:n]),
        problem.target[rows],
        problem.weights[rows],
        problem.penalty,
        problem.space,
        problem.units[:n],
    )


def _optima(parts: list[Problem], count: int, rng: np.random.Generator) -> Array:
    """Of each part ``GRID`` optima, then the best of ``TRIES`` random starts, ``count`` times:
    ``(parts, GRID + count, q)``."""
    starts = []
    for part in parts:
        first = best_starts(part, GRID)[0]
        first = first[np.arange(GRID) % len(first)]
        if count:
            first = np.concatenate([first, random_starts(part, TRIES * count, rng)])
        starts.append(first)
    found = []
    for theta, objectives in zip(*_minima(parts, np.stack(starts)), strict=True):
        best = theta[np.argsort(objectives)[:GRID]]
        if count:
            tries = theta[-TRIES * count :].reshape(count, TRIES, -1)
            of_try = objectives[-TRIES * count :].reshape(count, TRIES).argmin(axis=1)
            best = np.concatenate([best, tries[np.arange(count), of_try]])
        found.append(best)
    return np.stack(found)
