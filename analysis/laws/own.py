"""A law of the user's own: from a Python callable, or from a formula (``formula.py``)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from analysis.laws.base import GREEK, Array, Law, Parameter, columns
from scaling import COLUMNS
from scaling.base import refuse_unknown


def own_law(
    name: str,
    formula: str,
    parameters: tuple[Parameter, ...],
    inputs: tuple[str, ...],
    predict: Callable[..., Array],
    gradient: Callable[..., Array],
    output: str = "loss",
    latex: str = "",
) -> Law:
    """A user's ``Law``, whose linear parameters are found by trying (``linear_parameters``)."""
    return Law(
        name=name,
        formula=formula,
        latex=latex or rf"\mathrm{{{escaped(formula)}}}",
        source="",
        parameters=parameters,
        inputs=inputs,
        predict=predict,
        gradient=gradient,
        linear=linear_parameters([p.name for p in parameters], len(inputs), gradient),
        output=output,
        own=True,
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
            with np.errstate(invalid="ignore"):
                change = predict(up, *arrays) - predict(down, *arrays)
            out[..., i, :] = change / (2 * step[..., None])
        return out

    parameters = free_parameters(free, signed, start)
    title = getattr(function, "__name__", "function")
    formula = f"{output} = {title}({', '.join(names)})"
    return own_law("callable", formula, parameters, taken, predict, gradient, output)


def free_parameters(
    names: Sequence[str],
    signed: Sequence[str],
    start: Mapping[str, tuple[float, float]] | None,
) -> tuple[Parameter, ...]:
    """Parameters with next to no bounds, positive unless in ``signed``, sought in ``start``."""
    ranges = {name: (float(low), float(high)) for name, (low, high) in (start or {}).items()}
    for name in (*signed, *ranges):
        if name not in names:
            refuse_unknown(name, names, "parameter of the law")
    for name, (low, high) in ranges.items():
        if not (-1e30 if name in signed else 1e-30) <= low < high <= 1e30:
            raise ValueError(
                f"start of {name} is {low:g} to {high:g}; it goes from a smaller to a larger "
                "number, positive unless the parameter is signed"
            )
    return tuple(_free(name, name in signed, ranges.get(name)) for name in names)


def _free(name: str, signed: bool, start: tuple[float, float] | None) -> Parameter:
    tex = symbol(name)
    if signed:
        return Parameter(name, "", -1e30, 1e30, start or (-2.0, 2.0), scale="linear", symbol=tex)
    return Parameter(name, "", 1e-30, 1e30, start or (0.03, 2.0), symbol=tex)


def symbol(name: str) -> str:
    """A name in LaTeX: a Greek letter, a letter with an index, or upright."""
    if name in GREEK:
        return rf"\{name}"
    letter = re.fullmatch(r"([A-Za-z])(\d*)", name)
    if letter is None:
        return rf"\mathrm{{{escaped(name)}}}"
    return letter[1] + (f"_{{{letter[2]}}}" if letter[2] else "")


def looks_fitted(name: str) -> bool:
    """Whether it is what parameters are called: a Greek letter, or E, A, B, a, b, k, L0, ..."""
    return name in GREEK or re.fullmatch(r"[ABEKabcdek]\d*|L_?\d+", name) is not None


def escaped(text: str) -> str:
    """``text`` with its underscores as LaTeX prints them."""
    return text.replace("_", r"\_")


def linear_parameters(
    names: Sequence[str], n_inputs: int, gradient: Callable[..., Array]
) -> tuple[str, ...]:
    """Those that the law is jointly affine in: their derivatives do not see them."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(0.5, 2.0, (n_inputs, 7))
    base = rng.uniform(0.5, 1.5, len(names))
    found: list[int] = []
    for i in range(len(names)):
        trial = [*found, i]
        moved = base.copy()
        moved[trial] = rng.uniform(2.0, 3.0, len(trial))
        before, after = gradient(base, *inputs)[trial], gradient(moved, *inputs)[trial]
        small = 1e-9 * np.abs(before[np.isfinite(before)]).max(initial=0.0)
        if np.allclose(before, after, rtol=1e-6, atol=small) and np.isfinite(before).all():
            found = trial
    return tuple(names[i] for i in found)
