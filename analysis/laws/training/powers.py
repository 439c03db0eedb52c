"""A constant times powers of the inputs."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Parameter, columns, stack


def predict(params: Array, *inputs: Array) -> Array:
    """c x_1^a_1 x_2^a_2 ..., with ``params`` in that order."""
    c, *powers = columns(params)
    return c * np.exp(sum(a * np.log(x) for a, x in zip(powers, inputs, strict=True)))


def gradient(params: Array, *inputs: Array) -> Array:
    """Its derivatives by c and the exponents."""
    value = predict(params, *inputs)
    return stack(value / params[..., 0, None], *(value * np.log(x) for x in inputs))


def rescale(params: Array, units: Array) -> Array:
    """As ``Law.rescale``."""
    out = params.copy()
    out[..., 0] = params[..., 0] * np.exp(params[..., 1:] @ np.log(units))
    return out


def power(name: str, means: str) -> Parameter:
    """An exponent of either sign."""
    return Parameter(name, means, -5.0, 5.0, (-1.5, 1.5), scale="linear")
