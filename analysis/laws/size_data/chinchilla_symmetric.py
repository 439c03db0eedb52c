"""Chinchilla's law with one exponent for parameters and data."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.size_data.chinchilla import gradient, predict, rescale
from analysis.laws.terms import A, B, E


def _widen(params: Array) -> Array:
    """Parameters of the law with one exponent as those of the law with two."""
    return np.concatenate([params, params[..., -1:]], axis=-1)


def _symmetric_gradient(params: Array, num_params: Array, num_tokens: Array) -> Array:
    full = gradient(_widen(params), num_params, num_tokens)
    full[..., 3, :] += full[..., 4, :]
    return full[..., :4, :]


CHINCHILLA_SYMMETRIC = Law(
    name="chinchilla_symmetric",
    formula="L = E + A / N^alpha + B / D^alpha",
    latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\alpha}}",
    source="Hoffmann et al. 2022 (arXiv 2203.15556), eq. 2 with alpha = beta, so N*, D* ~ C^0.5",
    parameters=(E, A, B, Parameter("alpha", "exponent of both", 1e-3, 5.0, (0.03, 2.0))),
    inputs=("num_params", "num_tokens"),
    predict=lambda params, n, d: predict(_widen(params), n, d),
    gradient=_symmetric_gradient,
    rescale=lambda params, units: rescale(_widen(params), units)[..., :4],
    linear=("E", "A", "B"),
)
