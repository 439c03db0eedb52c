"""A law of the user's own: from a Python callable, or from a formula (``formula.py``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns
from scaling.schema import COLUMNS


def own_law(
    name: str,
    formula: str,
    parameters: tuple[Parameter, ...],
    inputs: tuple[str, ...],
    predict: Callable[..., Array],
    gradient: Callable[..., Array],
    output: str = "loss",
) -> Law:
    """A ``Law`` whose linear parameters are found by trying (``linear_parameters``)."""
    return Law(
        name=name,
        formula=formula,
        latex=formula,
        source="",
        parameters=parameters,
        inputs=inputs,
        predict=predict,
        gradient=gradient,
        linear=linear_parameters(parameters, len(inputs), gradient),
        output=output,
    )


def callable_law(
    function: Callable[..., Array],
    inputs: tuple[str, ...] | None = None,
    signed: tuple[str, ...] = (),
    start: Mapping[str, tuple[float, float]] | None = None,
    output: str = "loss",
) -> Law:
    """A law from a Python function such as ``def f(num_params, E, A, alpha)``.

    Arguments named as run-table columns or in ``inputs`` are inputs, the others parameters,
    positive unless in ``signed``. The function must be made of numpy operations that broadcast:
    it is called with parameters ``(..., 1)`` and inputs ``(n,)``. Derivatives are by central
    differences.

    Examples
    --------
    >>> law = callable_law(lambda num_params, E, A: E + A * num_params**-0.5)
    >>> law.inputs, law.names, law.linear
    (('num_params',), ('E', 'A'), ('E', 'A'))
    """
    names = list(inspect.signature(function).parameters)
    taken = tuple(name for name in names if name in (inputs or ()) or name in COLUMNS)
    free = [name for name in names if name not in taken]
    if not taken or not free:
        raise ValueError(
            f"the function's arguments {', '.join(names)} have {len(taken)} inputs and "
            f"{len(free)} parameters; name inputs as columns of the run table or in inputs="
        )

    def predict(params: Array, *arrays: Array) -> Array:
        values = dict(zip(free, columns(params), strict=True))
        values.update(zip(taken, arrays, strict=True))
        shape = (*params.shape[:-1], arrays[0].shape[-1])
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(function(**values), dtype=float), shape).copy()

    def gradient(params: Array, *arrays: Array) -> Array:
        out = np.empty((*params.shape, arrays[0].shape[-1]))
        for i in range(params.shape[-1]):
            step = 6e-6 * np.maximum(np.abs(params[..., i]), 1e-8)
            up, down = params.copy(), params.copy()
            up[..., i] += step
            down[..., i] -= step
            out[..., i, :] = (predict(up, *arrays) - predict(down, *arrays)) / (2 * step[..., None])
        return out

    parameters = tuple(
        free_parameter(name, name in signed, (start or {}).get(name)) for name in free
    )
    title = getattr(function, "__name__", "function")
    formula = f"{output} = {title}({', '.join(names)})"
    return own_law("callable", formula, parameters, taken, predict, gradient, output)


def free_parameter(name: str, signed: bool, start: tuple[float, float] | None) -> Parameter:
    """A parameter with next to no bounds, positive unless ``signed``."""
    if signed:
        return Parameter(name, "", -1e30, 1e30, start or (-2.0, 2.0), scale="linear")
    return Parameter(name, "", 1e-30, 1e30, start or (0.03, 2.0))


def linear_parameters(
    parameters: tuple[Parameter, ...], n_inputs: int, gradient: Callable[..., Array]
) -> tuple[str, ...]:
    """Names of parameters that the law is jointly affine in: their derivatives do not see them."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(0.5, 2.0, (n_inputs, 7))
    base = rng.uniform(0.5, 1.5, len(parameters))
    found: list[int] = []
    for i in range(len(parameters)):
        trial = [*found, i]
        moved = base.copy()
        moved[trial] = rng.uniform(2.0, 3.0, len(trial))
        before, after = gradient(base, *inputs)[trial], gradient(moved, *inputs)[trial]
        if np.allclose(before, after, rtol=1e-6, atol=1e-9) and np.isfinite(before).all():
            found = trial
    return tuple(parameters[i].name for i in found)
