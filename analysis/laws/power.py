"""Power laws in one variable, without and with a floor."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack

A = Parameter("A", "size at x = 1", 1e-8, 1e8, unit="as loss")
ALPHA = Parameter("alpha", "exponent", 1e-3, 5.0, (0.02, 2.0))
FLOOR = Parameter("E", "irreducible loss", 0.0, 1e6, unit="as loss", scale="linear", role="floor")


def _predict(params: Array, x: Array) -> Array:
    a, alpha = columns(params)
    return a * np.exp(-alpha * np.log(x))


def _gradient(params: Array, x: Array) -> Array:
    a, alpha = columns(params)
    term = np.exp(-alpha * np.log(x))
    return stack(term, -a * np.log(x) * term)


def _rescale(params: Array, units: Array) -> Array:
    a, alpha = np.moveaxis(params, -1, 0)
    return np.stack([a * units[0] ** -alpha, alpha], axis=-1)


POWER = Law(
    name="power",
    formula="L = A / x^alpha",
    latex=r"L = \frac{A}{x^{\alpha}}",
    source="Hestness et al. 2017 (arXiv 1712.00409); M1 of Alabdulmohsin et al. 2022",
    parameters=(A, ALPHA),
    inputs=("num_params",),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("A",),
)

POWER_FLOOR = Law(
    name="power_floor",
    formula="L = E + A / x^alpha",
    latex=r"L = E + \frac{A}{x^{\alpha}}",
    source="Hestness et al. 2017 (arXiv 1712.00409); M2 of Alabdulmohsin et al. 2022",
    parameters=(FLOOR, A, ALPHA),
    inputs=("num_params",),
    predict=lambda params, x: params[..., 0, None] + _predict(params[..., 1:], x),
    gradient=lambda params, x: _with_floor(_gradient(params[..., 1:], x)),
    rescale=lambda params, units: np.concatenate(
        [params[..., :1], _rescale(params[..., 1:], units)], axis=-1
    ),
    linear=("E", "A"),
)


def _with_floor(rest: Array) -> Array:
    """Derivatives ``(..., p, n)`` with a first row of ones for an added constant."""
    return np.concatenate([np.ones_like(rest[..., :1, :]), rest], axis=-2)
