"""M3 of Alabdulmohsin et al. 2022: a power law that saturates where learning ends."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack


def _predict(params: Array, x: Array) -> Array:
    beta, c, gamma = columns(params)
    return beta * np.exp(c * np.log(1.0 / x + gamma))


def _gradient(params: Array, x: Array) -> Array:
    beta, c, gamma = columns(params)
    base = 1.0 / x + gamma
    power = np.exp(c * np.log(base))
    return stack(power, beta * power * np.log(base), beta * power * c / base)


def _rescale(params: Array, units: Array) -> Array:
    beta, c, gamma = np.moveaxis(params, -1, 0)
    return np.stack([beta * units[0] ** -c, c, gamma * units[0]], axis=-1)


M3 = Law(
    name="m3",
    formula="L = beta * (1/x + gamma)^c",
    latex=r"L = \beta\left(\frac{1}{x} + \gamma\right)^{c}",
    source="Bansal et al. 2022 (arXiv 2202.01994); M3 of Alabdulmohsin et al. 2022"
    " (arXiv 2209.06640)",
    parameters=(
        Parameter("beta", "size", 1e-8, 1e8, unit="as loss"),
        Parameter("c", "exponent", 1e-3, 10.0, (0.03, 2.0)),
        Parameter("gamma", "1 / x where learning ends", 0.0, 1e8, (1e-4, 3.0), scale="linear"),
    ),
    inputs=("num_params",),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("beta",),
    starts=lambda observed, x: np.array(
        [
            [1.0, c, gamma]
            for c in np.geomspace(0.03, 2.0, 8)
            for gamma in (0.0, *np.geomspace(1e-3, 10.0, 7) / x.max())
        ]
    ),
)
