"""The law of overfitting: repeats of data cost, the more so the larger the model."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.terms import ALPHA, BETA, A, B, E

P = Parameter(
    "P",
    "what one repeat costs a model of as many parameters as there are unique tokens",
    1e-8,
    1e8,
    unit="nats/token",
)
DELTA = Parameter("delta", "exponent of repeats in what they cost", 1e-2, 5.0, (0.2, 2.0))
KAPPA = Parameter("kappa", "exponent of N/U in what repeats cost", 1e-3, 5.0, (0.05, 2.0))


def _penalty(
    params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array
) -> tuple[Array, Array, Array]:
    """R^delta (N/U)^kappa, and the logarithms of R and of N/U; nothing where nothing repeats."""
    delta, kappa = params[..., 6, None], params[..., 7, None]
    unique = np.minimum(unique_tokens, num_tokens)
    repeats = num_tokens / unique - 1.0
    again = repeats > 0
    log_repeats = np.log(np.where(again, repeats, 1.0))
    log_ratio = np.log(num_params / unique)
    size = np.where(again, np.exp(delta * log_repeats + kappa * log_ratio), 0.0)
    return size, log_repeats, log_ratio


def _predict(params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array) -> Array:
    e, a, b, alpha, beta, p, _, _ = columns(params)
    size, _, _ = _penalty(params, num_params, num_tokens, unique_tokens)
    n_term, d_term = np.exp(-alpha * np.log(num_params)), np.exp(-beta * np.log(num_tokens))
    return e + a * n_term + b * d_term + p * size


def _gradient(params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array) -> Array:
    _, a, b, alpha, beta, p, _, _ = columns(params)
    size, log_repeats, log_ratio = _penalty(params, num_params, num_tokens, unique_tokens)
    log_n, log_d = np.log(num_params), np.log(num_tokens)
    n_term, d_term = np.exp(-alpha * log_n), np.exp(-beta * log_d)
    return stack(
        1.0,
        n_term,
        d_term,
        -a * log_n * n_term,
        -b * log_d * d_term,
        size,
        p * size * log_repeats,
        p * size * log_ratio,
    )


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 1] *= units[0] ** -params[..., 3]
    out[..., 2] *= units[1] ** -params[..., 4]
    out[..., 5] *= (units[0] / units[2]) ** params[..., 7]
    return out


OVERFITTING = Law(
    name="overfitting",
    formula="L = E + A / N^alpha + B / D^beta + P * R^delta * (N / U)^kappa, R = D/U - 1",
    latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}"
    r" + P\,R^{\delta}\left(\frac{N}{U}\right)^{\kappa},\quad R = D/U - 1",
    source="Lovelace et al. 2026 (arXiv 2605.01640), the form with three parameters of repeats",
    parameters=(E, A, B, ALPHA, BETA, P, DELTA, KAPPA),
    inputs=("num_params", "num_tokens", "num_unique_tokens"),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("E", "A", "B", "P"),
    one_unit=("num_tokens", "num_unique_tokens"),
)
