"""The law of repeated data: repeats of tokens and excess parameters lose their value."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.terms import ALPHA, BETA, A, B, E

RD = Parameter(
    "R_D",
    "repeats after which data have lost 1 - 1/e of their value",
    1e-2,
    1e4,
    (1, 100),
    symbol="R_D^*",
)
RN = Parameter("R_N", "the same for excess parameters", 1e-2, 1e4, (1, 100), symbol="R_N^*")


def _saturate(unique: Array, amount: Array, scale: Array) -> tuple[Array, Array, Array]:
    """U + U s (1 - exp(-R/s)) for R = amount/U - 1, and its derivatives by U and by s."""
    repeats = np.maximum(amount / unique - 1.0, 0.0)
    decay = np.exp(-repeats / scale)
    gained = -np.expm1(-repeats / scale)
    value = unique * (1.0 + scale * gained)
    return (
        value,
        1.0 + scale * gained - decay * (1.0 + repeats),
        unique * (gained - decay * repeats / scale),
    )


def _effective(
    params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array
) -> tuple[Array, ...]:
    _, a, b, alpha, beta, r_d, r_n = columns(params)
    unique = np.minimum(unique_tokens, num_tokens)
    # N that would be optimal for the unique tokens: alpha A / N^alpha = beta B / U^beta
    log_ratio = np.log(alpha * a / (beta * b))
    log_unique = np.log(unique)
    optimal = np.exp((log_ratio + beta * log_unique) / alpha)
    needed = np.minimum(optimal, num_params)
    d_value, _, d_scale = _saturate(unique, num_tokens, r_d)
    n_value, n_unique, n_scale = _saturate(needed, num_params, r_n)
    n_unique = np.where(optimal < num_params, n_unique * needed, 0.0)  # by ln of the optimal N
    return n_value, d_value, n_unique, n_scale, d_scale, log_ratio, log_unique


def _predict(params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array) -> Array:
    e, a, b, alpha, beta, _, _ = columns(params)
    n, d, *_ = _effective(params, num_params, num_tokens, unique_tokens)
    return e + a * np.exp(-alpha * np.log(n)) + b * np.exp(-beta * np.log(d))


def _gradient(params: Array, num_params: Array, num_tokens: Array, unique_tokens: Array) -> Array:
    _, a, b, alpha, beta, _, _ = columns(params)
    n, d, n_unique, n_scale, d_scale, log_ratio, log_unique = _effective(
        params, num_params, num_tokens, unique_tokens
    )
    n_term, d_term = np.exp(-alpha * np.log(n)), np.exp(-beta * np.log(d))
    by_n, by_d = -alpha * a * n_term / n, -beta * b * d_term / d
    by_optimal = by_n * n_unique
    return stack(
        1.0,
        n_term + by_optimal / (alpha * a),
        d_term - by_optimal / (alpha * b),
        -a * np.log(n) * n_term + by_optimal * (1 - log_ratio - beta * log_unique) / alpha**2,
        -b * np.log(d) * d_term + by_optimal * (log_unique - 1 / beta) / alpha,
        by_d * d_scale,
        by_n * n_scale,
    )


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 1] *= units[0] ** -params[..., 3]
    out[..., 2] *= units[1] ** -params[..., 4]
    return out


REPEATED_DATA = Law(
    name="repeated_data",
    formula="L = E + A / N_e^alpha + B / D_e^beta,"
    " D_e = U + U * R_D * (1 - exp(-(D/U - 1) / R_D)),"
    " N_e = U_N + U_N * R_N * (1 - exp(-(N/U_N - 1) / R_N)), U_N = min(N, N*(U))",
    latex=r"L = E + \frac{A}{N_e^{\alpha}} + \frac{B}{D_e^{\beta}},\quad"
    r" D_e = U\left(1 + R_D^*\,(1 - e^{-(D/U-1)/R_D^*})\right),\quad"
    r" N_e = U_N\left(1 + R_N^*\,(1 - e^{-(N/U_N-1)/R_N^*})\right)",
    source="Muennighoff et al. 2023 (arXiv 2305.16264), eq. 5 and 6; U_N is the optimal N for U"
    " unique tokens",
    parameters=(E, A, B, ALPHA, BETA, RD, RN),
    inputs=("num_params", "num_tokens", "num_unique_tokens"),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("E",),
    one_unit=("num_tokens", "num_unique_tokens"),
    published={
        "muennighoff": {
            "E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353,
            "R_D": 15.3878, "R_N": 5.3097,
        }
    },
)  # fmt: skip
