"""From the losses of a budget, by size, to their minimum: two ways.

``parabola``
    loss is a parabola in ln N (Hoffmann et al. 2022, section 3.2). Smooth and robust, but biased
    when the true curve is not symmetric about its minimum (alpha != beta) or the sizes are not
    centred on it; :mod:`analysis.compute.approach2_bias` measures that.
``akima``
    Akima's interpolant of ln loss in ln N, its minimum found on a grid of 25 points per size and
    taken as the median under re-drawn noise (Porian et al. 2024, appendix B). Local, so it keeps
    to the runs near the minimum in wide sweeps; their five RefinedWeb exponents come out within
    0.005.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Method = Literal["parabola", "akima"]
_GRID = 25


def parabola(x: Array, log_losses: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Vertex, its loss and convexity of the parabola in x, for each column ``(k, n_curves)``."""
    middle = x.mean()
    basis = np.stack([np.ones_like(x), x - middle, (x - middle) ** 2], axis=1)
    c0, c1, c2 = np.linalg.lstsq(basis, np.exp(log_losses), rcond=None)[0]
    convex = c2 > 0
    shift = np.where(convex, -c1 / np.where(convex, 2 * c2, 1.0), 0.0)
    return middle + shift, c0 + shift * (c1 + shift * c2), convex


def akima(x: Array, log_losses: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The same of Akima's interpolant, on a grid; a lowest point at an end counts as an edge."""
    from scipy.interpolate import Akima1DInterpolator

    grid = np.linspace(x[0], x[-1], (len(x) - 1) * _GRID)
    values = Akima1DInterpolator(x, log_losses)(grid)
    lowest = values.argmin(axis=0)
    convex = np.ones(len(lowest), dtype=bool)
    return grid[lowest], np.exp(values[lowest, np.arange(len(lowest))]), convex
