"""From the losses of a budget, by size, to their minimum: three ways.

``parabola``
    loss is a parabola in ln N (Hoffmann et al. 2022, section 3.2). Smooth and robust, but biased
    when the true curve is not symmetric about its minimum (alpha != beta) or the sizes are not
    centred on it; :mod:`analysis.compute.approach2_bias` measures that.
``akima``
    Akima's interpolant of ln loss in ln N, its minimum found on a grid of 25 points per size and
    taken as the median under re-drawn noise (Porian et al. 2024, appendix B). Local, so it keeps
    to the runs near the minimum in wide sweeps, and follows their noise; their five RefinedWeb
    exponents come out within 0.005.
``powers``
    loss is E + p N^-alpha + q N^beta, as Chinchilla's law has it at equal compute, with one alpha
    and one beta for all budgets: :mod:`analysis.compute.approach2_shape`. Not biased as the
    parabola is where alpha != beta or sizes are off the middle.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Method = Literal["parabola", "akima", "powers"]
METHODS: tuple[Method, ...] = get_args(Method)
SIZES: dict[Method, int] = {"parabola": 3, "akima": 5, "powers": 3}
"""Sizes that each method needs at a budget."""
_GRID = 25
_MEDIAN_OF = 1000


def parabola(x: Array, log_loss: Array) -> tuple[float, float, bool]:
    """Vertex of the parabola in x, its loss, and whether it is a minimum. Arrays ``(k,)``."""
    middle = x.mean()
    basis = np.stack([np.ones_like(x), x - middle, (x - middle) ** 2], axis=1)
    c0, c1, c2 = (float(c) for c in np.linalg.lstsq(basis, np.exp(log_loss), rcond=None)[0])
    if c2 <= 0:
        return float(middle), c0, False
    shift = -c1 / (2 * c2)
    return float(middle + shift), c0 + shift * (c1 + shift * c2), True


def akima(x: Array, log_loss: Array, noise: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Median of the interpolant's minima under ``noise`` ``(k,)``, and the loss of the minimum.

    Draws whose lowest point is an end do not count, unless most are or the losses' own is.
    """
    from scipy.interpolate import Akima1DInterpolator

    grid = np.linspace(x[0], x[-1], (len(x) - 1) * _GRID + 1)
    off = noise[:, None] * rng.standard_normal((len(x), _MEDIAN_OF))
    values = Akima1DInterpolator(x, log_loss[:, None] + np.insert(off, 0, 0.0, axis=1))(grid)
    lowest = grid[values.argmin(axis=0)]
    inner = lowest[(lowest > x[0]) & (lowest < x[-1])]
    at = float(lowest[0])
    if x[0] < at < x[-1]:
        at = float(np.median(inner if 2 * len(inner) > _MEDIAN_OF else lowest))
    return at, float(np.exp(values[:, 0].min()))
