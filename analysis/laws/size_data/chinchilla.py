"""Chinchilla's law: a term of parameters and one of data above a floor."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, columns
from analysis.laws.terms import ALPHA, BETA, A, B, E


def predict(params: Array, num_params: Array, num_tokens: Array) -> Array:
    """E + A / N^alpha + B / D^beta."""
    e, a, b, alpha, beta = columns(params)
    return e + a * np.exp(-alpha * np.log(num_params)) + b * np.exp(-beta * np.log(num_tokens))


def gradient(params: Array, *inputs: Array) -> Array:
    """Its derivatives by E, A, B, alpha and beta."""
    out = np.empty((*params.shape, len(inputs[0])), dtype=params.dtype)
    logs = np.log(np.array(inputs))
    exponents = np.multiply(params[..., 3:, None], logs, out=out[..., 3:, :])
    terms = np.exp(np.negative(exponents, out=exponents), out=out[..., 1:3, :])
    np.multiply(-params[..., 1:3, None] * logs, terms, out=out[..., 3:, :])
    out[..., 0, :] = 1.0
    return out


def _curvature(params: Array, jacobian: Array, v: Array, *inputs: Array) -> Array:
    out = np.zeros((*params.shape, 5))
    slopes = v[..., None, :] * jacobian[..., 3:, :]
    mixed = slopes.sum(axis=-1) / params[..., 1:3]
    slopes *= np.log(np.array(inputs))
    twice = slopes.sum(axis=-1)
    for i in (0, 1):
        out[..., 1 + i, 3 + i] = out[..., 3 + i, 1 + i] = mixed[..., i]
        out[..., 3 + i, 3 + i] = -twice[..., i]
    return out


def rescale(params: Array, units: Array) -> Array:
    """As ``Law.rescale``."""
    e, a, b, alpha, beta = np.moveaxis(params, -1, 0)
    return np.stack([e, a * units[0] ** -alpha, b * units[1] ** -beta, alpha, beta], axis=-1)


def _optimum(params: Array, product: float) -> Array:
    """N* = G (N D)^(beta/(alpha+beta)), G = (alpha A / (beta B))^(1/(alpha+beta)).

    Source: Hoffmann et al. 2022, eq. 4.
    """
    _, a, b, alpha, beta = np.moveaxis(params, -1, 0)
    log_g = np.log(alpha * a / (beta * b)) / (alpha + beta)
    return np.asarray(np.exp(log_g + np.log(product) * beta / (alpha + beta)))


def _exponent(params: Array) -> Array:
    alpha, beta = params[..., 3], params[..., 4]
    return np.asarray(beta / (alpha + beta))


CHINCHILLA = Law(
    name="chinchilla",
    formula="L = E + A / N^alpha + B / D^beta",
    latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}",
    source="Hoffmann et al. 2022 (arXiv 2203.15556), eq. 2; constants besiroglu: Besiroglu et al. "
    "2024 (arXiv 2404.10102)",
    parameters=(E, A, B, ALPHA, BETA),
    inputs=("num_params", "num_tokens"),
    predict=predict,
    gradient=gradient,
    curvature=_curvature,
    rescale=rescale,
    linear=("E", "A", "B"),
    optimum=_optimum,
    exponent=_exponent,
    published={
        "hoffmann": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        "besiroglu": {
            "E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585
        },
    },
)  # fmt: skip
