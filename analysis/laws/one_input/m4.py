"""M4 of Alabdulmohsin et al. 2022: a learning curve that saturates at both ends."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.log_add import log_add


def _share(params: Array, x: Array) -> tuple[Array, Array, Array]:
    """s in (0, 1) with L = E + (E_0 - E) s, 1 - s and ln(1 - s): Newton's method on u = logit s.

    ln s - alpha ln(1 - s) rises with slope between 1 and alpha, and its slope is monotone in u,
    so that Newton's steps cannot overshoot twice.
    """
    e, beta, c, alpha, e0 = columns(params)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        right = np.log(beta) - c * np.log(x) - (1.0 - alpha) * np.log(e0 - e)
        u = np.where(right < 0, right, right / alpha)
        enough = max(1e-12, 4 * float(np.finfo(u.dtype).eps))
        for _ in range(50):
            above = log_add(0.0, u)
            s = np.exp(u - above)
            step = (alpha * above - (above - u) - right) / (1.0 - s + alpha * s)
            u = u - step
            if not (np.abs(step) > enough * (1.0 + np.abs(u))).any():
                break
        above = log_add(0.0, u)
        return np.exp(u - above), np.exp(-above), -above


def _predict(params: Array, x: Array) -> Array:
    e, _, _, _, e0 = columns(params)
    return e + (e0 - e) * _share(params, x)[0]


def _gradient(params: Array, x: Array) -> Array:
    e, beta, _, alpha, e0 = columns(params)
    s, rest, log_rest = _share(params, x)
    span = e0 - e
    # by the implicit function theorem, from ln s - alpha ln(1 - s) = right
    rate = span * s * rest / (rest + alpha * s)
    pull = rate * (1.0 - alpha) / span
    with np.errstate(invalid="ignore", divide="ignore"):
        by_alpha = rate * (np.log(span) + log_rest)
    return stack(rest + pull, rate / beta, -rate * np.log(x), by_alpha, s - pull)


def _curvature(params: Array, jacobian: Array, v: Array, x: Array) -> Array:
    """s is a function of alpha and of R = ln beta - c ln x - (1 - alpha) ln(E_0 - E)."""
    e, beta, _, alpha, e0 = columns(params)
    s, rest, log_rest = _share(params, x)
    span = e0 - e
    below = rest + alpha * s
    q = s * rest / below  # ds/dR; ds/dalpha = q ln(1 - s)
    q_s = ((rest - s) * below - s * rest * (alpha - 1.0)) / below**2
    by_both = q_s * q * log_rest - s * s * rest / below**2  # d2s/dR dalpha
    by_alpha = by_both * log_rest - q * s / below * log_rest
    slope = (1.0 - alpha) / span
    with np.errstate(invalid="ignore"):  # no law where E is above E_0
        log_span = np.log(span)
    by = stack(slope, 1.0 / beta, -np.log(x), log_span, -slope)  # dR
    total = by * q[..., None, :]
    total[..., 3, :] += q * log_rest
    pull = v * span
    out: Array = np.matmul(by * (pull * q_s * q)[..., None, :], by.swapaxes(-1, -2))
    cross = np.matmul(by, (pull * by_both)[..., None])[..., 0]
    out[..., 3] += cross
    out[..., 3, :] += cross
    out[..., 3, 3] += np.sum(pull * by_alpha, axis=-1)
    bend = np.sum(pull * q, axis=-1)
    slope, span, beta = slope[..., 0], span[..., 0], beta[..., 0]
    out[..., 1, 1] -= bend / beta**2
    slid = np.matmul(total, v[..., None])[..., 0]
    for i, sign in ((0, 1.0), (4, -1.0)):
        for j, other in ((0, 1.0), (4, -1.0)):
            out[..., i, j] += sign * other * bend * slope / span
        out[..., i, 3] -= sign * bend / span
        out[..., 3, i] -= sign * bend / span
        out[..., i, :] -= sign * slid
        out[..., :, i] -= sign * slid
    return out


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 1] *= units[0] ** -params[..., 2]
    return out


def _starts(observed: Array, x: Array) -> Array:
    """Given E, E_0 and alpha, ln((L - E) / (E_0 - L)^alpha) is linear in ln x."""
    low, high = observed.min(), observed.max()
    log_x = np.log(x)
    rows = []
    for e in (0.0, 0.3 * low, 0.7 * low, 0.95 * low):
        for e0 in (1.02 * high, 1.3 * high, 3 * high):
            for alpha in (0.1, 0.5, 1.0, 2.0):
                y = np.log(observed - e) - alpha * np.log(e0 - observed)
                slope, intercept = np.polyfit(log_x, y, 1)
                rows.append([e, np.exp(intercept), max(-slope, 1e-2), alpha, e0])
    return np.array(rows)


M4 = Law(
    name="m4",
    formula="(L - E) / (E_0 - L)^alpha = beta / x^c",
    latex=r"\frac{L - E}{(E_0 - L)^{\alpha}} = \frac{\beta}{x^{c}}",
    source="Alabdulmohsin et al. 2022 (arXiv 2209.06640), M4",
    parameters=(
        Parameter(
            "E", "loss at infinite x", 0.0, 1e6, unit="as loss", scale="linear", role="floor"
        ),
        Parameter("beta", "size", 1e-8, 1e8, unit="as loss"),
        Parameter("c", "exponent", 1e-3, 10.0, (0.03, 2.0)),
        Parameter("alpha", "how slowly learning begins", 1e-3, 10.0, (0.1, 2.0)),
        Parameter("E_0", "loss of a model that has learned nothing", 1e-6, 1e6, unit="as loss"),
    ),
    inputs=("num_params",),
    predict=_predict,
    gradient=_gradient,
    curvature=_curvature,
    rescale=_rescale,
    starts=_starts,
)
