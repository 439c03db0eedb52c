"""Scores of what was foretold: both reward a forecast that is as narrow as it can be, and no more.

They are proper (Gneiting and Raftery 2007, *Strictly proper scoring rules, prediction, and
estimation*, J. Am. Stat. Assoc. 102, 359): who expects a distribution scores best by saying so.
Less is better; both are in the unit of what is predicted, so on logarithms .01 is 1 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.intervals import tails
from analysis.laws import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def interval_score(low: ArrayLike, high: ArrayLike, actual: ArrayLike, level: float) -> Array:
    """``high - low + (2 / (1 - level)) x miss``, miss being how far ``actual`` lies outside.

    Parameters
    ----------
    low, high, actual : arrays that broadcast
        Ends of central intervals, and what was measured; in logarithms, if scores are to be
        relative.
    level : float
        Coverage that the intervals claim.

    Returns
    -------
    array
        The score of each interval.

    Raises
    ------
    ValueError
        If ``level`` is not between 0 and 1.

    Notes
    -----
    Gneiting and Raftery 2007, eq. 43.

    Examples
    --------
    >>> interval_score(1.0, 2.0, [1.5, 2.25], 0.9).round(2).tolist()
    [1.0, 6.0]
    """
    below, _ = tails(level)
    low, high, actual = (np.asarray(x, dtype=float) for x in (low, high, actual))
    miss = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return np.asarray(high - low + miss / below)


def crps(samples: ArrayLike, actual: ArrayLike) -> Array:
    """Continuous ranked probability score of draws, ``E|X - y| - E|X - X'| / 2``.

    Parameters
    ----------
    samples : array ``(k, ...)``
        At least two draws of each value.
    actual : array ``(...)``
        What was measured.

    Returns
    -------
    array ``(...)``

    Raises
    ------
    ValueError
        If there are fewer than two draws.

    Notes
    -----
    Gneiting and Raftery 2007, eq. 21. The second mean is over pairs of different draws, so that
    the score's expectation does not depend on their number (Ferro 2014, *Fair scores for ensemble
    forecasts*); it may then be negative by chance.

    Examples
    --------
    >>> crps([[0.0], [1.0]], [2.0]).tolist()
    [1.0]
    """
    draws, actual = np.asarray(samples, dtype=float), np.asarray(actual, dtype=float)
    k = len(draws)
    if k < 2:
        raise ValueError(f"{k} draws have no spread; a CRPS needs 2 or more")
    ranks = 2 * np.arange(1, k + 1) - k - 1
    apart = np.tensordot(ranks, np.sort(draws, axis=0), axes=1) * 2 / (k * (k - 1))
    return np.asarray(np.abs(draws - actual).mean(axis=0) - 0.5 * apart)
