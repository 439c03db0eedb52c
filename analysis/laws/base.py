"""What a law is: a frozen value with a pure ``predict``, its gradient and how it changes units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaling import COLUMNS
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws.groups import Groups

Array: TypeAlias = NDArray[np.float64]

GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "eta", "kappa", "lambda", "mu", "sigma", "zeta"
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One parameter: ``name``, what it ``means``, its ``unit`` and where it may lie.

    ``low`` and ``high`` are the bounds of the fit and ``start`` the range that starting points
    cover, both with every input divided by its geometric mean (``Law.rescale``). A parameter of
    ``scale`` ``"log"`` is positive and fitted as its logarithm. ``role`` ``"floor"`` is what the
    law falls to when its inputs grow.
    """

    name: str
    means: str
    low: float
    high: float
    start: tuple[float, float] = (1.0, 1.0)
    unit: str = ""
    scale: str = "log"
    symbol: str = ""
    role: str = ""

    @property
    def latex(self) -> str:
        """The symbol in LaTeX: a Greek letter's name becomes the letter, what follows ``_`` or a
        number an index.
        """
        letter, _, index = self.name.partition("_")
        letter = rf"\{letter}" if letter in GREEK else letter
        if index:
            index = index if len(index) == 1 else rf"{{\mathrm{{{index}}}}}"
            return self.symbol or f"{letter}_{index}"
        return self.symbol or re.sub(r"^([a-zA-Z])(\d+)$", r"\1_\2", letter)


@dataclass(frozen=True)
class Law:
    """A scaling law: ``predict(params, *inputs)`` and what a fit and a reader need to know of it.

    Attributes
    ----------
    name, formula, latex, source : str
        The registry's name, the law in plain text and in LaTeX, and where it was published.
    parameters : tuple of Parameter
        In the order of ``params``.
    inputs : tuple of str
        Columns of the run table, in the order of ``predict``'s arguments.
    predict : callable
        ``(params (..., p), *inputs (n,)) -> (..., n)``.
    gradient : callable
        Same arguments ``-> (..., p, n)``: the derivative by each parameter.
    rescale : callable or None
        ``(params, units (n_inputs,)) -> params'`` with
        ``predict(params', *(inputs / units)) == predict(params, *inputs)``; ``units`` of ``1/s``
        undo ``s``. None if the law is not known to keep its form when units change.
    linear : tuple of str
        Parameters that the prediction is affine in when the others are held: they are projected
        out when starting points are sought.
    curvature : callable or None
        ``(params (..., p), jacobian (..., p, n), v (..., n), *inputs) -> (..., p, p)``: the second
        derivatives by the parameters, summed over runs with weights ``v``; ``jacobian`` is what
        ``gradient`` gave. None: by differences of ``gradient``.
    starts : callable or None
        ``(observed (n,), *inputs) -> (m, p)``: starting points that the law knows better than a
        grid over ``start`` ranges; their linear parameters are fitted again.
    one_unit : tuple of str
        Inputs that must be measured in one common unit (tokens and unique tokens).
    derive : callable or None
        ``table -> table`` with inputs that the law can make of a table's other columns.
    over : callable or None
        ``shares -> Law``: the same law over other columns of shares, however many.
    unscaled : tuple of str
        Inputs that are taken as they are, because 0 or 1 of them means something (shares, experts).
    published : dict
        Constants that were published for it, name -> {parameter: value}, in the inputs' own units.
    output : str
        Column that the law predicts.
    space : str
        ``"log"`` or ``"linear"``: the residuals that are fitted unless the caller says otherwise.
    optimum : callable or None
        ``(params (..., p), product) -> (...)``: N* of least loss where N D is ``product``, in
        closed form. None: by search (``optimum.optimal``).
    exponent : callable or None
        ``params (..., p) -> (...)``: a of N* ~ C^a if it is the same at any C. None: the slope
        at some C (``optimum.exponents``).
    assumes : str
        What the law takes for granted, for a reader.
    own : bool
        Whether it is a user's, whose bounds and starts say little of where its parameters lie.
    options : callable or None
        ``law -> dict``: what makes a law from a formula again besides the formula and inputs.
    of_log : Law or None
        The law of the output's logarithm, if the law is stated for that (``law_of_log``): fitted
        in its place in log space, where its linear parameters are projected out.
    groups : Groups or None
        Which parameters have a value for each group of rows, if some have (``grouped``).
    within : (float, float) or None
        What the output lies between whatever the inputs, if it cannot lie beyond.
    column_units : dict
        The units of its own columns, where the run table knows none or another (``unit``).
    """

    name: str
    formula: str
    latex: str
    source: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    predict: Callable[..., Array]
    gradient: Callable[..., Array]
    rescale: Callable[[Array, Array], Array] | None = None
    linear: tuple[str, ...] = ()
    curvature: Callable[..., Array] | None = None
    starts: Callable[..., Array] | None = None
    one_unit: tuple[str, ...] = ()
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    over: Callable[[Sequence[str]], Law] | None = None
    unscaled: tuple[str, ...] = ()
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False)
    output: str = "loss"
    space: str = "log"
    optimum: Callable[[Array, float], Array] | None = None
    exponent: Callable[[Array], Array] | None = None
    assumes: str = "the same exponents over all runs; nothing beyond the formula is modelled"
    own: bool = False
    options: Callable[[Law], dict[str, Any]] | None = None
    of_log: Law | None = None
    groups: Groups | None = None
    within: tuple[float, float] | None = None
    column_units: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(p.name for p in self.parameters)

    @property
    def variables(self) -> tuple[str, ...]:
        """The inputs that are numbers, which come before the columns of groups."""
        return self.inputs if self.groups is None else self.groups.law.inputs

    @property
    def shares(self) -> tuple[str, ...]:
        """The inputs that are shares of a data mixture, in a law of one."""
        return () if self.over is None else self.variables[2 * (self.inputs[0] == "num_params") :]

    @property
    def in_plane(self) -> bool:
        """Whether it is one in N and D (and perhaps U): a budget may have a best size."""
        beyond = set(self.inputs[2:]) - {"num_unique_tokens"}
        plane = self.inputs[:2] == ("num_params", "num_tokens")
        return self.groups is None and plane and not beyond

    def unit(self, column: str) -> str:
        """The unit of an input or of the output, as its source has it; empty where none is known.

        A user's law says none of what counts tokens or examples.
        """
        stated = COLUMNS[column].unit if column in COLUMNS else ""
        stated = "" if self.own and " or " in stated else stated.partition(" or ")[0]
        return self.column_units.get(column, stated)

    @property
    def held(self) -> dict[str, float]:
        """The parameters that are held, and their values."""
        return {p.name: p.low for p in self.parameters if p.low == p.high}

    @cached_property
    def on_log(self) -> NDArray[np.bool_]:
        """``(p,)``: which parameters are fitted as logarithms."""
        return np.array([p.scale == "log" for p in self.parameters])

    @cached_property
    def place(self) -> slice | list[int]:
        """Indices of the linear parameters: a slice, which copies nothing, where they adjoin."""
        linear = [i for i, name in enumerate(self.names) if name in self.linear]
        if linear and linear == list(range(linear[0], linear[-1] + 1)):
            return slice(linear[0], linear[-1] + 1)
        return linear

    @cached_property
    def is_sum(self) -> bool:
        """Whether the prediction is the linear parameters times their derivatives, no more."""
        if not self.linear:
            return False
        if self.groups is not None:
            return self.groups.law.is_sum and not self.held
        shapes = np.array([p.start for p in self.parameters]).T
        shapes[:, self.place] = 0.0
        inputs = [np.geomspace(0.1, 10.0, 7) * (1 + i) for i in range(len(self.inputs))]
        with np.errstate(all="ignore"):
            return bool((self.predict(shapes, *inputs) == 0.0).all())

    @cached_property
    def by_row(self) -> bool:
        """Whether a prediction is of its own row's inputs alone, and these may be ``(..., n)`` as
        parameters are ``(..., p)``: then many groups of rows are predicted at once."""
        rng = np.random.default_rng(0)
        low, high = np.array([p.start for p in self.parameters]).T
        params = low + (high - low) * rng.random((2, len(self.parameters)))
        inputs = rng.uniform(1.0, 2.0, (len(self.inputs), 2, 5))
        with np.errstate(all="ignore"):
            try:
                return _same(self, params, inputs) and _rowwise(self, params, inputs)
            except (ValueError, TypeError, LookupError, ArithmeticError, AssertionError):
                return False

    def vector(self, params: dict[str, float]) -> Array:
        """``params`` as ``(p,)`` in the law's order; ``ValueError`` names a missing one."""
        missing = [name for name in self.names if name not in params]
        if missing:
            raise ValueError(f"{self.name} needs a value for {', '.join(missing)}")
        return np.array([float(params[name]) for name in self.names])

    def hold(self, values: Mapping[str, float]) -> Law:
        """The law with some parameters held at ``values``; inputs are then not rescaled."""
        for name in values:
            if name not in self.names:
                refuse_unknown(name, self.names, f"parameter of {self.name}")
            self._refuse_beyond(name, values[name])
        if len({*self.held, *values}) == len(self.names):
            raise ValueError(f"all parameters of {self.name} are held; leave one to fit")
        parameters = tuple(
            replace(p, low=values[p.name], high=values[p.name], start=(values[p.name],) * 2)
            if p.name in values
            else p
            for p in self.parameters
        )
        linear = tuple(name for name in self.linear if name not in values)
        of_log = None if self.of_log is None else self.of_log.hold(values)
        return replace(self, parameters=parameters, linear=linear, rescale=None, of_log=of_log)

    def _refuse_beyond(self, name: str, value: float) -> None:
        """``ValueError`` if a parameter cannot have that value, whatever the inputs' units."""
        i = self.names.index(name)
        p, ones = self.parameters[i], np.ones(len(self.names))
        units = np.full(len(self.inputs), 2.0)
        same = self.rescale is None or self.rescale(ones, units)[i] == 1.0
        low, high = (p.low, p.high) if same else (1e-300 if p.scale == "log" else -1e300, 1e300)
        if not low <= value <= high:
            raise ValueError(
                f"{name} of {self.name} is held at {value:g}; hold it at {low:g} to {high:g}"
            )

    def __reduce__(self) -> Any:
        from analysis.laws import LAWS

        if LAWS.get(self.name) is self:
            return (LAWS.__getitem__, (self.name,))
        return object.__reduce__(self)


def _same(law: Law, params: Array, inputs: Array) -> bool:
    """Whether two sets of parameters, each with its own inputs, give what each does alone."""
    own = [(params[i : i + 1], *inputs[:, i]) for i in (0, 1)]
    both = (params, *inputs)
    jacobian = np.concatenate([law.gradient(*one) for one in own])
    pairs = [(law.predict(*both), np.concatenate([law.predict(*one) for one in own])),
             (law.gradient(*both), jacobian)]  # fmt: skip
    if law.curvature is not None:
        v = np.ones((2, inputs.shape[-1]))
        bends = [law.curvature(one[0], jacobian[i : i + 1], v[:1], *one[1:])
                 for i, one in enumerate(own)]  # fmt: skip
        pairs.append((law.curvature(params, jacobian, v, *inputs), np.concatenate(bends)))
    return all(a.shape == b.shape and np.allclose(a, b, equal_nan=True) for a, b in pairs)


def _rowwise(law: Law, params: Array, inputs: Array) -> bool:
    """Whether the rows may each have their own parameters."""
    each = np.repeat(params[:, None], inputs.shape[-1], axis=1)
    alone = law.gradient(each, *inputs[:, 0, :, None])[..., 0]
    whole = law.gradient(params, *inputs[:, 0]).swapaxes(-1, -2)
    return alone.shape == whole.shape and np.allclose(alone, whole, equal_nan=True)


def columns(params: Array) -> list[Array]:
    """``params (..., p)`` as p arrays ``(..., 1)`` that broadcast against runs ``(n,)``."""
    return [params[..., i, None] for i in range(params.shape[-1])]


def scales(inputs: tuple[Array, ...], law: Law) -> Array:
    """The unit ``(n_inputs,)`` of each input in a fit: the geometric mean of its sizes, or 1.

    A zero has no size to count, and a negative value that of its amount.
    """
    if law.rescale is None:
        return np.ones(len(inputs))
    groups = () if law.groups is None else law.groups.columns  # their numbers have no unit
    logs = {
        name: 0.0 if name in (*law.unscaled, *groups) else _log_size(x)
        for name, x in zip(law.inputs, inputs, strict=True)
    }
    if law.one_unit:
        common = float(np.mean([logs[name] for name in law.one_unit]))
        logs.update(dict.fromkeys(law.one_unit, common))
    return np.exp([logs[name] for name in law.inputs])


def _log_size(x: Array) -> float:
    sizes = np.abs(x[x != 0.0])
    return float(np.log(sizes).mean()) if len(sizes) else 0.0


def stack(*rows: Array | float) -> Array:
    """Derivatives by each parameter, each broadcast to ``(..., n)``, as ``(..., p, n)``."""
    shape = np.broadcast(*rows).shape
    out = np.empty((*shape[:-1], len(rows), shape[-1]), dtype=np.result_type(*rows))
    for i, row in enumerate(rows):
        out[..., i, :] = row
    return out
