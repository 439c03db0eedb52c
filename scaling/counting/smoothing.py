"""Probabilities from counts, each order interpolated with the one below.

P_k(x' | x) = share(x x') + weight(x) P_(k-1)(x'): every scheme is the two arrays of each order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.counting.grams import Counts, Ints

Floats = NDArray[np.float64]
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts of counts give none: KenLM's (``--discount_fallback``)."""


@dataclass(frozen=True)
class Smoothed:
    """An n-gram model.

    Attributes
    ----------
    counts : Counts
    shares : tuple of array
        For each order, of each k-gram, its own part of the probability.
    weights : tuple of array
        For each order, of each context, what is left for what is below.
    to_uniform : bool
        Whether below is always 1 / V, not the order below.
    """

    counts: Counts
    shares: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    to_uniform: bool = False

    def probabilities(self, windows: NDArray[np.integer]) -> Floats:
        """Of each token of windows ``(n, time + 1)`` but the first: ``(n, time)``."""
        found: Floats = np.full((len(windows), windows.shape[1] - 1), 1 / self.counts.vocab_size)
        numbers = windows.astype(np.int64)
        for order, (shares, weights) in enumerate(zip(self.shares, self.weights, strict=True), 1):
            if order > windows.shape[1]:
                break
            if order == 1:
                before, ends = np.zeros_like(numbers[:, 1:]), numbers[:, 1:]
            else:
                before = numbers[:, :-1]
                ends = self.counts.find(order, before, windows[:, order - 1 :])
                numbers = ends
            lower = 1 / self.counts.vocab_size if self.to_uniform else found[:, max(0, order - 2) :]
            share = np.where(ends < 0, 0.0, shares[ends])
            weight = np.where(before < 0, 1.0, weights[before])
            found[:, max(0, order - 2) :] = share + weight * lower
        return found


def smooth(counts: Counts, smoothing: str, epsilon: float) -> Smoothed:
    """The model of counts by the scheme of that name: see ``NgramConfig``."""
    orders = range(1, len(counts.tables) + 1)
    parts = [SCHEMES[smoothing](counts, order, epsilon) for order in orders]
    shares, weights = zip(*parts, strict=True)
    return Smoothed(counts, shares, weights, to_uniform=smoothing == "additive")


def _interpolated(counts: Counts, order: int, pseudo: float) -> tuple[Floats, Floats]:
    """(n(x, x') + pseudo P(x')) / (n(x) + pseudo)."""
    before, found = counts.before(order), counts.tables[order - 1].counts
    total = np.bincount(before, weights=found, minlength=counts.sizes(order)).astype(np.float64)
    total += pseudo
    return found / total[before], pseudo / total


def _backoff(counts: Counts, order: int, epsilon: float) -> tuple[Floats, Floats]:
    return _interpolated(counts, order, epsilon)


def _additive(counts: Counts, order: int, epsilon: float) -> tuple[Floats, Floats]:
    return _interpolated(counts, order, epsilon * counts.vocab_size)


def _kneser_ney(counts: Counts, order: int, _: float) -> tuple[Floats, Floats]:
    """Modified Kneser-Ney: Chen and Goodman 1999 (Computer Speech & Language 13), eq. 26-27.

    Below the highest order a count is that of different tokens before.
    """
    before, size = counts.before(order), counts.sizes(order)
    found = counts.tables[order - 1].counts
    if order < len(counts.tables):
        found = np.bincount(counts.after[order], minlength=len(found))
    discounts = np.array([0.0, *discounts_of(found)])
    taken = discounts[np.minimum(found, 3)]
    total = np.bincount(before, weights=found, minlength=size)
    kept = np.bincount(before, weights=taken, minlength=size)
    seen = np.maximum(total, 1)
    return (found - taken) / seen[before], np.where(total > 0, kept / seen, 1.0)


def discounts_of(found: Ints) -> tuple[float, float, float]:
    """What counts of 1, 2 and more lose: k - (k + 1) Y n_(k+1) / n_k with Y = n_1 / (n_1 + 2 n_2).

    ``FALLBACK`` where that is none: few tokens, all of which come often, have no counts of 1.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(found == k)) for k in (1, 2, 3, 4))
    if not min(n1, n2, n3):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    given = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    fine = all(0 < discount <= most for discount, most in zip(given, (1, 2, 3), strict=True))
    return given if fine else FALLBACK


SCHEMES: dict[str, Callable[[Counts, int, float], tuple[Floats, Floats]]] = {
    "kneser-ney": _kneser_ney,
    "backoff": _backoff,
    "additive": _additive,
}
