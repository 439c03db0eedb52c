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
    from_all = _optima(_of_one_group(problem, slice(None)), count, rng)
    parts = [_of_one_group(problem, rows) for _, rows in cells]
    found = np.stack(
        [
            _optima(part, count, rng) if len(rows) >= size else from_all
            for part, (_, rows) in zip(parts, cells, strict=True)
        ]
    )  # (cells, GRID + count, q)
    grouped = dict(groups.by)
    shared = np.array([name not in grouped for name in groups.law.names])
    if shared.any():
        guesses = np.concatenate([np.median(found[:, :1], axis=0), from_all[:GRID],
                                  found[rng.integers(0, len(cells), count),
                                        GRID + np.arange(count)]])  # fmt: skip
        held = tuple(np.flatnonzero(shared).tolist())
        found = np.stack(
            [_beside(replace(part, held=held), guesses, own, shared)
             for part, own in zip(parts, found, strict=True)]
        )  # fmt: skip
    each = np.full((len(cells), found.shape[1], len(problem.law.parameters)), np.nan)
    for i, (place, _) in enumerate(cells):
        each[i][:, place] = found[i]
    whole = problem.clip(groups.expand(from_all[:GRID]))
    empty = np.isnan(each).all(axis=(0, 1))  # no row is of that group
    each[..., empty] = whole[0, empty]
    joined = problem.clip(np.nanmedian(each, axis=0))
    first = len(joined) - count
    return np.concatenate([joined[:first] if shared.any() else joined[:1], whole]), joined[first:]


def _beside(part: Problem, guesses: Array, own: Array, shared: NDArray[np.bool_]) -> Array:
    """A group's best parameters ``(g, q)``, those that are ``shared`` as the ``guesses`` say."""
    tries = np.stack([own[np.arange(len(guesses)) % len(own)], np.repeat(own[:1], len(guesses), 0)])
    tries = np.concatenate([tries, guesses[None]])
    tries = np.where(shared, guesses, tries)
    theta, objectives = minimise(part, tries.reshape(-1, tries.shape[-1]), small=ROUGH)
    best = objectives.reshape(tries.shape[:2]).argmin(axis=0)
    chosen: Array = theta.reshape(tries.shape)[best, np.arange(len(guesses))]
    return chosen


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


def _optima(problem: Problem, count: int, rng: np.random.Generator) -> Array:
    """``GRID`` optima, then the best of ``TRIES`` random starts, ``count`` times."""
    first = best_starts(problem, GRID)[0]
    first = first[np.arange(GRID) % len(first)]
    if count:
        first = np.concatenate([first, random_starts(problem, TRIES * count, rng)])
    theta, objectives = minimise(problem, first, small=ROUGH)
    best = theta[np.argsort(objectives)[:GRID]]
    if not count:
        return best
    tries = theta[-TRIES * count :].reshape(count, TRIES, -1)
    of_try = objectives[-TRIES * count :].reshape(count, TRIES).argmin(axis=1)
    return np.concatenate([best, tries[np.arange(count), of_try]])
