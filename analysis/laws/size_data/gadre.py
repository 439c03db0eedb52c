"""The law of over-training: Chinchilla's with one exponent, in compute and tokens per parameter."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack


def _terms(
    params: Array, num_params: Array, num_tokens: Array
) -> tuple[Array, Array, Array, Array]:
    """M^eta C^-eta and M^-eta C^-eta with M = D/N, C = 6 N D, and the logarithms they decay by."""
    eta = columns(params)[3]
    by_n = np.log(6.0) + 2 * np.log(num_params)
    by_d = np.log(6.0) + 2 * np.log(num_tokens)
    return np.exp(-eta * by_n), np.exp(-eta * by_d), by_n, by_d


def _predict(params: Array, num_params: Array, num_tokens: Array) -> Array:
    e, a, b, _ = columns(params)
    n_term, d_term, _, _ = _terms(params, num_params, num_tokens)
    return e + a * n_term + b * d_term


def _gradient(params: Array, num_params: Array, num_tokens: Array) -> Array:
    _, a, b, _ = columns(params)
    n_term, d_term, by_n, by_d = _terms(params, num_params, num_tokens)
    return stack(1.0, n_term, d_term, -a * by_n * n_term - b * by_d * d_term)


def _rescale(params: Array, units: Array) -> Array:
    e, a, b, eta = np.moveaxis(params, -1, 0)
    return np.stack([e, a * units[0] ** (-2 * eta), b * units[1] ** (-2 * eta), eta], axis=-1)


GADRE = Law(
    name="gadre",
    formula="L = E + (a * M^eta + b * M^(-eta)) * C^(-eta), M = D/N, C = 6*N*D",
    latex=r"L = E + \left(a\,M^{\eta} + b\,M^{-\eta}\right) C^{-\eta},\quad"
    r" M = \frac{D}{N},\ C = 6ND",
    source="Gadre et al. 2024 (arXiv 2403.08540), eq. 4",
    parameters=(
        Parameter(
            "E", "irreducible loss", 0.0, 1e6, unit="nats/token", scale="linear", role="floor"
        ),
        Parameter("a", "size of the parameter term", 1e-8, 1e8, unit="nats/token"),
        Parameter("b", "size of the data term", 1e-8, 1e8, unit="nats/token"),
        Parameter("eta", "exponent of compute at constant M", 1e-3, 3.0, (0.015, 1.0)),
    ),
    inputs=("num_params", "num_tokens"),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("E", "a", "b"),
)
