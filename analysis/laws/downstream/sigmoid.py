"""A sigmoid from loss to a downstream metric, the second step of the OLMo ladder."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack


def _logistic(params: Array, loss: Array) -> tuple[Array, Array]:
    _, k, middle, _ = columns(params)
    distance = loss - middle
    return 0.5 * (1.0 + np.tanh(0.5 * k * distance)), distance


def _predict(params: Array, loss: Array) -> Array:
    a, _, _, b = columns(params)
    return b + a * _logistic(params, loss)[0]


def _gradient(params: Array, loss: Array) -> Array:
    a, k, _, _ = columns(params)
    s, distance = _logistic(params, loss)
    slope = a * s * (1.0 - s)
    return stack(s, slope * distance, -slope * k, 1.0)


def _rescale(params: Array, units: Array) -> Array:
    a, k, middle, b = np.moveaxis(params, -1, 0)
    return np.stack([a, k * units[0], middle / units[0], b], axis=-1)


SIGMOID = Law(
    name="sigmoid",
    formula="metric = b + a / (1 + exp(-k * (L - L_0)))",
    latex=r"\mathrm{metric} = b + \frac{a}{1 + e^{-k\,(L - L_0)}}",
    source="Bhagia et al. 2024 (arXiv 2412.04403), eq. 3",
    parameters=(
        Parameter("a", "change of the metric from low to high loss", -1e3, 1e3, scale="linear"),
        Parameter("k", "steepness", 1e-3, 1e4, (1.0, 60.0), unit="1/nats"),
        Parameter("L_0", "loss at the middle", 1e-3, 1e3, (0.6, 1.6), unit="nats"),
        Parameter("b", "the metric at low loss", -1e3, 1e3, scale="linear"),
    ),
    inputs=("loss",),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("a", "b"),
    output="accuracy",
    column_units={"accuracy": "fraction"},
    space="linear",
)
