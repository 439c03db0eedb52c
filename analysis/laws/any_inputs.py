"""Laws in any number of inputs, for tables whose law nobody has named.

Each input x_i acts by h_i, its logarithm where it is positive, else itself (a share may be 0):

    product        L = K exp(sum_i a_i h_i), a product of powers
    product_floor  L = E + K exp(sum_i a_i h_i)
    sum_floor      L = E + sum_i A_i x_i^a_i, a sum of powers (of A_i x_i, where it is none)
    plane          y = c + sum_i a_i h_i, for what need not be positive
    sum_offset     y = E + sum_i A_i x_i^a_i with E of any sign, likewise

The first is the joint power law of Hestness et al. 2017, the second and third the product and the
sum of Rosenfeld et al. 2020 (arXiv 1909.12673, sec. 4) without their crossover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from analysis.laws.base import Array, Law, Parameter, stack

SOURCE = "Hestness et al. 2017 (arXiv 1712.00409); Rosenfeld et al. 2020 (arXiv 1909.12673)"
EXPONENT = (-1.0, 1.0)

Function = Callable[..., Array]


def laws_in(
    inputs: Sequence[str], logs: Sequence[bool], output: str, positive: bool
) -> tuple[Law, ...]:
    """The laws of this file in ``inputs``, of which ``logs`` says which act by their logarithm.

    Parameters
    ----------
    inputs : sequence of str
        Columns.
    logs : sequence of bool
        One for each input.
    output : str
        The column that they predict.
    positive : bool
        Whether that is positive everywhere, so that errors are of its logarithm.
    """
    each = (_product, _product_floor, _sum_floor) if positive else (_plane, _sum_offset)
    return tuple(make(tuple(inputs), tuple(logs), output) for make in each)


def acting(inputs: tuple[Array, ...], logs: tuple[bool, ...]) -> Array:
    """h_i of each input, ``(n_inputs, n)``."""
    return np.array([np.log(x) if log else x for x, log in zip(inputs, logs, strict=True)])


def _law(
    name: str,
    formula: str,
    parameters: list[Parameter],
    inputs: tuple[str, ...],
    output: str,
    space: str,
    functions: tuple[Function, Function, Function],
    linear: tuple[str, ...],
) -> Law:
    predict, gradient, rescale = functions
    return Law(
        name=name, formula=formula, latex=formula, source=SOURCE, parameters=tuple(parameters),
        inputs=inputs, predict=predict, gradient=gradient, rescale=rescale,
        linear=linear, output=output, space=space,
    )  # fmt: skip


def exponents(inputs: Sequence[str]) -> list[Parameter]:
    """The exponent of each input."""
    return [
        Parameter(f"a_{name}", f"exponent of {name}", -20.0, 20.0, EXPONENT, scale="linear")
        for name in inputs
    ]


def _powers(inputs: tuple[str, ...], logs: tuple[bool, ...]) -> str:
    return " * ".join(
        f"{name}^a_{name}" if log else f"exp(a_{name} * {name})"
        for name, log in zip(inputs, logs, strict=True)
    )


def _product(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str) -> Law:
    def predict(params: Array, *arrays: Array) -> Array:
        return np.asarray(params[..., :1] * np.exp(params[..., 1:] @ acting(arrays, logs)))

    def gradient(params: Array, *arrays: Array) -> Array:
        h = acting(arrays, logs)
        power = np.exp(params[..., 1:] @ h)[..., None, :]
        return np.concatenate([power, params[..., :1, None] * power * h], axis=-2)

    def rescale(params: Array, units: Array) -> Array:
        return _rescaled(params, units, 0, logs)

    size = Parameter("K", "size", 1e-30, 1e30, unit="as loss")
    formula = "L = K * " + _powers(inputs, logs)
    return _law(
        "product", formula, [size, *exponents(inputs)], inputs, output, "log",
        (predict, gradient, rescale), ("K",),
    )  # fmt: skip


def _product_floor(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str) -> Law:
    def predict(params: Array, *arrays: Array) -> Array:
        power = np.exp(params[..., 2:] @ acting(arrays, logs))
        return np.asarray(params[..., :1] + params[..., 1:2] * power)

    def gradient(params: Array, *arrays: Array) -> Array:
        h = acting(arrays, logs)
        power = np.exp(params[..., 2:] @ h)[..., None, :]
        one = np.ones_like(power)
        return np.concatenate([one, power, params[..., 1:2, None] * power * h], axis=-2)

    def rescale(params: Array, units: Array) -> Array:
        return _rescaled(params, units, 1, logs)

    floor = Parameter("E", "floor", 0.0, 1e30, unit="as loss", scale="linear", role="floor")
    size = Parameter("K", "size", 1e-30, 1e30, unit="as loss")
    formula = "L = E + K * " + _powers(inputs, logs)
    return _law(
        "product_floor", formula, [floor, size, *exponents(inputs)], inputs, output, "log",
        (predict, gradient, rescale), ("E", "K"),
    )  # fmt: skip


def _sum_floor(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str) -> Law:
    """Terms that the law is linear in come first: E, then one for each input; then exponents."""
    k = len(inputs)
    powers = [i for i, log in enumerate(logs) if log]

    def terms(params: Array, arrays: tuple[Array, ...]) -> list[Array]:
        each: list[Array] = list(arrays)
        for j, i in enumerate(powers):
            each[i] = np.exp(params[..., 1 + k + j, None] * np.log(arrays[i]))
        return each

    def predict(params: Array, *arrays: Array) -> Array:
        each = terms(params, arrays)
        return np.asarray(
            params[..., :1] + sum(params[..., 1 + i, None] * x for i, x in enumerate(each))
        )

    def gradient(params: Array, *arrays: Array) -> Array:
        each = terms(params, arrays)
        slopes = [params[..., 1 + i, None] * each[i] * np.log(arrays[i]) for i in powers]
        one = np.ones((*params.shape[:-1], len(arrays[0])))
        return stack(one, *each, *slopes)

    def rescale(params: Array, units: Array) -> Array:
        out = params.copy()
        for i, log in enumerate(logs):
            exponent = params[..., 1 + k + powers.index(i)] if log else 1.0
            out[..., 1 + i] = params[..., 1 + i] * units[i] ** exponent
        return out

    floor = Parameter("E", "floor", 0.0, 1e30, unit="as loss", scale="linear", role="floor")
    sizes = [
        Parameter(f"A_{name}", f"size of the term of {name}", 1e-30, 1e30, unit="as loss")
        if log
        else Parameter(f"A_{name}", f"slope in {name}", -1e30, 1e30, (-2.0, 2.0), scale="linear")
        for name, log in zip(inputs, logs, strict=True)
    ]
    shown = [
        f"A_{name} * {name}^a_{name}" if log else f"A_{name} * {name}"
        for name, log in zip(inputs, logs, strict=True)
    ]
    return _law(
        "sum_floor", "L = E + " + " + ".join(shown),
        [floor, *sizes, *exponents([inputs[i] for i in powers])], inputs, output, "log",
        (predict, gradient, rescale), ("E", *(p.name for p in sizes)),
    )  # fmt: skip


def _sum_offset(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str) -> Law:
    """The same sum about any level, its errors as they are."""
    law = _sum_floor(inputs, logs, output)
    level = Parameter("E", "level", -1e30, 1e30, unit="as loss", scale="linear")
    return replace(law, name="sum_offset", space="linear", parameters=(level, *law.parameters[1:]))


def _plane(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str) -> Law:
    def predict(params: Array, *arrays: Array) -> Array:
        return np.asarray(params[..., :1] + params[..., 1:] @ acting(arrays, logs))

    def gradient(params: Array, *arrays: Array) -> Array:
        h = acting(arrays, logs)
        shape = (*params.shape[:-1], *h.shape)
        each = np.broadcast_to(h, shape)
        return np.concatenate([np.ones_like(each[..., :1, :]), each], axis=-2)

    def rescale(params: Array, units: Array) -> Array:
        out = params.copy()
        for i, log in enumerate(logs):
            if log:
                out[..., 0] = out[..., 0] + params[..., 1 + i] * np.log(units[i])
            else:
                out[..., 1 + i] = params[..., 1 + i] * units[i]
        return out

    level = Parameter("c", "level", -1e30, 1e30, (-2.0, 2.0), unit="as y", scale="linear")
    terms = [
        f"a_{name} * log({name})" if log else f"a_{name} * {name}"
        for name, log in zip(inputs, logs, strict=True)
    ]
    slopes = [
        Parameter(f"a_{name}", f"slope in {name}", -1e30, 1e30, (-2.0, 2.0), scale="linear")
        for name in inputs
    ]
    return _law(
        "plane", "y = c + " + " + ".join(terms), [level, *slopes], inputs, output, "linear",
        (predict, gradient, rescale), tuple(p.name for p in (level, *slopes)),
    )  # fmt: skip


def _rescaled(params: Array, units: Array, size: int, logs: tuple[bool, ...]) -> Array:
    """Parameters of a product whose inputs are divided by ``units``; ``size`` is K's index."""
    out = params.copy()
    for i, log in enumerate(logs):
        at = size + 1 + i
        if log:
            out[..., size] = out[..., size] * units[i] ** params[..., at]
        else:
            out[..., at] = params[..., at] * units[i]
    return out
