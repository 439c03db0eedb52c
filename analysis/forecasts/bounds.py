"""Metrics that are shares: what they cannot lie beyond."""

from __future__ import annotations

from analysis.laws import Array
from analysis.tables import is_score


def whole_of(observed: Array, name: str) -> float | None:
    """What ``observed (n,)`` are shares of; none if they are no shares.

    1 where all lie between 0 and 1, and 100, for percent, where a score's lie between 0 and 100.
    """
    low, high = observed.min(), observed.max()
    if low >= 0.0 and high <= 1.0:
        return 1.0
    return 100.0 if low >= 0.0 and high <= 100.0 and is_score(name) else None
