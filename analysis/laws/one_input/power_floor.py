"""The power law of one variable above a floor."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law
from analysis.laws.one_input.power import ALPHA, A, gradient, predict, rescale
from analysis.laws.terms import FLOOR

POWER_FLOOR = Law(
    name="power_floor",
    formula="L = E + A / x^alpha",
    latex=r"L = E + \frac{A}{x^{\alpha}}",
    source="Hestness et al. 2017 (arXiv 1712.00409); M2 of Alabdulmohsin et al. 2022",
    parameters=(FLOOR, A, ALPHA),
    inputs=("num_params",),
    predict=lambda params, x: params[..., 0, None] + predict(params[..., 1:], x),
    gradient=lambda params, x: _with_floor(gradient(params[..., 1:], x)),
    rescale=lambda params, units: np.concatenate(
        [params[..., :1], rescale(params[..., 1:], units)], axis=-1
    ),
    linear=("E", "A"),
)


def _with_floor(rest: Array) -> Array:
    """Derivatives ``(..., p, n)`` with a first row of ones for an added constant."""
    return np.concatenate([np.ones_like(rest[..., :1, :]), rest], axis=-2)
