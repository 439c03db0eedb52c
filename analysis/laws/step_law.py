"""Step Law: the best peak learning rate and batch size as powers of N and D."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack


def _predict(params: Array, *inputs: Array) -> Array:
    c, *powers = columns(params)
    return c * np.exp(sum(a * np.log(x) for a, x in zip(powers, inputs, strict=True)))


def _gradient(params: Array, *inputs: Array) -> Array:
    value = _predict(params, *inputs)
    return stack(value / params[..., 0, None], *(value * np.log(x) for x in inputs))


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 0] = params[..., 0] * np.exp(params[..., 1:] @ np.log(units))
    return out


def _power(name: str, means: str) -> Parameter:
    return Parameter(name, means, -5.0, 5.0, (-1.5, 1.5), scale="linear")


STEP_LAW_LR = Law(
    name="step_law_lr",
    formula="lr = c * N^a * D^b",
    latex=r"\eta^{*} = c\,N^{a} D^{b}",
    source="Li et al. 2025 (arXiv 2503.04715), eq. 1: c 1.79, a -0.713, b 0.307",
    parameters=(
        Parameter("c", "learning rate at N = D = 1", 1e-12, 1e12),
        _power("a", "exponent of parameters"),
        _power("b", "exponent of data"),
    ),
    inputs=("num_params", "num_tokens"),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("c",),
    output="lr",
    published={"li": {"c": 1.79, "a": -0.713, "b": 0.307}},
)

STEP_LAW_BATCH = Law(
    name="step_law_batch",
    formula="B = c * D^b",
    latex=r"B^{*} = c\,D^{b}",
    source="Li et al. 2025 (arXiv 2503.04715), eq. 1: c 0.58, b 0.571, B in tokens",
    parameters=(
        Parameter("c", "batch size at D = 1", 1e-12, 1e12, unit="tokens"),
        _power("b", "exponent of data"),
    ),
    inputs=("num_tokens",),
    predict=_predict,
    gradient=_gradient,
    rescale=_rescale,
    linear=("c",),
    output="batch_size",
    published={"li": {"c": 0.58, "b": 0.571}},
)
