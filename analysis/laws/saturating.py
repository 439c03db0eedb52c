"""Two laws of learning curves with saturation: M3 and M4 of Alabdulmohsin et al. 2022."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack

BETA = Parameter("beta", "size", 1e-8, 1e8, unit="as loss")
EXPONENT = Parameter("c", "exponent", 1e-3, 10.0, (0.03, 2.0))


def _m3_predict(params: Array, x: Array) -> Array:
    beta, c, gamma = columns(params)
    return beta * np.exp(c * np.log(1.0 / x + gamma))


def _m3_gradient(params: Array, x: Array) -> Array:
    beta, c, gamma = columns(params)
    base = 1.0 / x + gamma
    power = np.exp(c * np.log(base))
    return stack(power, beta * power * np.log(base), beta * power * c / base)


def _m3_rescale(params: Array, units: Array) -> Array:
    beta, c, gamma = np.moveaxis(params, -1, 0)
    return np.stack([beta * units[0] ** -c, c, gamma * units[0]], axis=-1)


M3 = Law(
    name="m3",
    formula="L = beta * (1/x + gamma)^c",
    latex=r"L = \beta\left(\frac{1}{x} + \gamma\right)^{c}",
    source="Bansal et al. 2022 (arXiv 2202.01994); M3 of Alabdulmohsin et al. 2022"
    " (arXiv 2209.06640)",
    parameters=(
        BETA,
        EXPONENT,
        Parameter("gamma", "1 / x where learning ends", 0.0, 1e8, (1e-4, 3.0), scale="linear"),
    ),
    inputs=("num_params",),
    predict=_m3_predict,
    gradient=_m3_gradient,
    rescale=_m3_rescale,
    linear=("beta",),
    starts=lambda observed, x: np.array(
        [
            [1.0, c, gamma]
            for c in np.geomspace(0.03, 2.0, 8)
            for gamma in (0.0, *np.geomspace(1e-3, 10.0, 7) / x.max())
        ]
    ),
)


def _m4_share(params: Array, x: Array) -> Array:
    """s in (0, 1) with L = E + (E_0 - E) s: Newton's method on u = logit s.

    ln s - alpha ln(1 - s) rises with slope between 1 and alpha, and its slope is monotone in u,
    so that Newton's steps cannot overshoot twice.
    """
    e, beta, c, alpha, e0 = columns(params)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        right = np.log(beta) - c * np.log(x) - (1.0 - alpha) * np.log(e0 - e)
        u = np.where(right < 0, right, right / alpha)
        for _ in range(50):
            above, below = np.logaddexp(0.0, u), np.logaddexp(0.0, -u)
            s = np.exp(-below)
            step = (alpha * above - below - right) / (1.0 - s + alpha * s)
            u = u - step
            if not np.nanmax(np.abs(step), initial=0.0) > 1e-13:
                break
        return np.exp(-np.logaddexp(0.0, -u))


def _m4_predict(params: Array, x: Array) -> Array:
    e, _, _, _, e0 = columns(params)
    return e + (e0 - e) * _m4_share(params, x)


def _m4_gradient(params: Array, x: Array) -> Array:
    e, beta, _, alpha, e0 = columns(params)
    s = _m4_share(params, x)
    span = e0 - e
    # by the implicit function theorem, from ln s - alpha ln(1 - s) = right
    rate = span * s * (1.0 - s) / (1.0 - s + alpha * s)
    pull = rate * (1.0 - alpha) / span
    with np.errstate(invalid="ignore", divide="ignore"):
        by_alpha = rate * (np.log(span) + np.log1p(-s))
    return stack(1.0 - s + pull, rate / beta, -rate * np.log(x), by_alpha, s - pull)


def _m4_rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 1] *= units[0] ** -params[..., 2]
    return out


def _m4_starts(observed: Array, x: Array) -> Array:
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
        BETA,
        EXPONENT,
        Parameter("alpha", "how slowly learning begins", 1e-3, 10.0, (0.1, 2.0)),
        Parameter("E_0", "loss of a model that has learned nothing", 1e-6, 1e6, unit="as loss"),
    ),
    inputs=("num_params",),
    predict=_m4_predict,
    gradient=_m4_gradient,
    rescale=_m4_rescale,
    starts=_m4_starts,
)
