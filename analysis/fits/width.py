"""How wide residuals scatter, for penalties whose turn follows from it where nobody says it."""

from __future__ import annotations

import numpy as np

from analysis.laws import Array

TURN = {"huber": 3.0, "tukey": 4.685}
"""Turns in standard deviations. Huber's leaves least squares but for what lies beyond three;
Tukey's loses 5 % of the precision where residuals are normal (Holland and Welsch 1977, *Robust
regression using iteratively reweighted least-squares*).
"""

LEAST = 1e-3
"""Share of the response's standard deviation below which no scatter is believed."""


def turn_of(loss_fn: str, residuals: Array, observed: Array, n_params: int) -> float:
    """Delta of ``loss_fn`` for residuals ``(n,)`` of the least absolute deviation.

    Their standard deviation is told by the median size of those that the fit leaves: such a fit
    passes through as many observations as it has parameters.
    """
    left = np.sort(np.abs(residuals))[min(n_params, len(residuals) - 1) :]
    spread = float(np.std(observed)) or 1.0
    return TURN[loss_fn] * max(1.4826 * float(np.median(left)), LEAST * spread)
