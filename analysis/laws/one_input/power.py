"""The power law of one variable."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack

A = Parameter("A", "size at x = 1", 1e-8, 1e8, unit="as loss")
ALPHA = Parameter("alpha", "exponent", 1e-3, 5.0, (0.02, 2.0))


def predict(params: Array, x: Array) -> Array:
    """A / x^alpha."""
    a, alpha = columns(params)
    return a * np.exp(-alpha * np.log(x))


def gradient(params: Array, x: Array) -> Array:
    """Its derivatives by A and alpha."""
    a, alpha = columns(params)
    term = np.exp(-alpha * np.log(x))
    return stack(term, -a * np.log(x) * term)


def rescale(params: Array, units: Array) -> Array:
    """As ``Law.rescale``."""
    a, alpha = np.moveaxis(params, -1, 0)
    return np.stack([a * units[0] ** -alpha, alpha], axis=-1)


POWER = Law(
    name="power",
    formula="L = A / x^alpha",
    latex=r"L = \frac{A}{x^{\alpha}}",
    source="Hestness et al. 2017 (arXiv 1712.00409); M1 of Alabdulmohsin et al. 2022",
    parameters=(A, ALPHA),
    inputs=("num_params",),
    predict=predict,
    gradient=gradient,
    rescale=rescale,
    linear=("A",),
)
