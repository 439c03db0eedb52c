"""Kaplan's law of N and D."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.log_add import log_add


def _predict(params: Array, num_params: Array, num_tokens: Array) -> Array:
    return np.exp(_log_loss(params, num_params, num_tokens)[0])


def _log_loss(params: Array, num_params: Array, num_tokens: Array) -> tuple[Array, ...]:
    """ln L, the logarithms of both terms and of their sum."""
    n_c, d_c, alpha_n, alpha_d = columns(params)
    log_n = (alpha_n / alpha_d) * (np.log(n_c) - np.log(num_params))
    log_d = np.log(d_c) - np.log(num_tokens)
    log_sum = log_add(log_n, log_d)
    return alpha_d * log_sum, log_n, log_d, log_sum


def _gradient(params: Array, num_params: Array, num_tokens: Array) -> Array:
    n_c, d_c, alpha_n, alpha_d = columns(params)
    log_loss, log_n, log_d, log_sum = _log_loss(params, num_params, num_tokens)
    loss = np.exp(log_loss)
    n_share, d_share = np.exp(log_n - log_sum), np.exp(log_d - log_sum)
    return stack(
        loss * n_share * alpha_n / n_c,
        loss * d_share * alpha_d / d_c,
        loss * alpha_d * n_share * log_n / alpha_n,
        loss * (log_sum - n_share * log_n),
    )


def _rescale(params: Array, units: Array) -> Array:
    n_c, d_c, alpha_n, alpha_d = np.moveaxis(params, -1, 0)
    return np.stack([n_c / units[0], d_c / units[1], alpha_n, alpha_d], axis=-1)


def _starts(observed: Array, num_params: Array, num_tokens: Array) -> Array:
    """For each pair of exponents L^(1/alpha_D) is linear in N_c^(alpha_N/alpha_D) and D_c."""
    rows = []
    for alpha_n in np.geomspace(0.02, 1.0, 8):
        for alpha_d in np.geomspace(0.02, 1.0, 8):
            target = (1 / alpha_d) * np.log(observed)
            ratio = alpha_n / alpha_d
            design = np.exp(
                np.stack([-ratio * np.log(num_params), -np.log(num_tokens)]) - target
            )  # relative to the target, so that its right side is 1
            size = np.linalg.norm(design, axis=1)
            solution = np.linalg.lstsq((design / size[:, None]).T, np.ones(len(observed)))[0] / size
            solution = np.maximum(solution, 1e-3 / size)
            log_c = np.clip(np.log(solution[0]) / ratio, -60, 60)
            rows.append([np.exp(log_c), solution[1], alpha_n, alpha_d])
    return np.array(rows)


KAPLAN = Law(
    name="kaplan",
    formula="L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D",
    latex=r"L = \left[\left(\frac{N_c}{N}\right)^{\alpha_N/\alpha_D}"
    r" + \frac{D_c}{D}\right]^{\alpha_D}",
    source="Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.5; N without embeddings",
    parameters=(
        Parameter("N_c", "scale of parameters", 1e-30, 1e30, (1e-2, 1e8), unit="parameters"),
        Parameter("D_c", "scale of data", 1e-30, 1e30, (1e-2, 1e8), unit="tokens"),
        Parameter("alpha_N", "exponent of parameters", 1e-3, 5.0, (0.02, 1.0)),
        Parameter("alpha_D", "exponent of data", 1e-3, 5.0, (0.02, 1.0)),
    ),
    inputs=("num_params", "num_tokens"),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    starts=_starts,
    published={"kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}},
)
