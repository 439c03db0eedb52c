"""A law for the registry from its formula: what is printed of it is what is computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.formula import SYMBOLS, Formula
from scaling import COLUMNS
from scaling.base import refuse_unknown

Powers: TypeAlias = Mapping[str, Mapping[str, float | str]]
"""Parameter -> {letter: power}: what it is multiplied by when a letter's unit changes.

A power is a number, or the name of a parameter, after a minus or not: with ``{"A": {"N":
"-alpha"}}`` A becomes A unit^-alpha where N is measured in ``unit``.
"""


def named_law(
    name: str,
    formula: str,
    parameters: Sequence[Parameter],
    *,
    source: str,
    inputs: Mapping[str, str] | None = None,
    units: Powers | None = None,
    **fields: Any,
) -> Law:
    """A law for the registry from its formula, its parameters and where it was published.

    Parameters
    ----------
    name, formula, source : str
        As in ``Law``; the formula as ``formula_law`` reads it. After commas it may define what
        stands before: ``"L = E + A / M^alpha, M = N * P"``.
    parameters : sequence of Parameter
        One for each name in the formula that is no input, with meaning, unit, bounds and range of
        starts, in the order in which the law has them.
    inputs : mapping, optional
        Letter in the formula -> column of the run table, in the law's order; N, D, C and U need
        not be named.
    units : mapping, optional
        Which parameters take up a change of units (``Powers``). Letters that it does not name
        are left as they are. Without it bounds and starts are for inputs as they stand in the
        formula: where sizes are divided by a typical one (``N/1e9``), so are these.
    fields
        Other fields of ``Law``: ``latex`` (made from the formula if not given), ``space``,
        ``assumes``, ``published``, ``starts``, ``optimum``, ...

    Raises
    ------
    ValueError
        If the formula cannot be read, or a parameter is described twice, not at all or for
        nothing.

    Examples
    --------
    >>> law = named_law(
    ...     "parallel",
    ...     "L = E + A / (N * (k*log(P) + 1))^alpha",
    ...     [
    ...         Parameter("E", "irreducible loss", 0.0, 1e2, unit="as loss", scale="linear"),
    ...         Parameter("A", "size at one parameter", 1e-8, 1e8, unit="as loss"),
    ...         Parameter("k", "worth of a stream", 1e-6, 1e2),
    ...         Parameter("alpha", "exponent of parameters", 1e-3, 5.0, (0.02, 2.0)),
    ...     ],
    ...     source="Chen et al. 2025 (arXiv 2505.10475)",
    ...     inputs={"N": "num_params", "P": "parallel_size"},
    ...     units={"A": {"N": "-alpha"}},
    ... )
    >>> law.inputs, law.linear, law.unscaled
    (('num_params', 'parallel_size'), ('E', 'A'), ('parallel_size',))
    """
    described = {p.name: p for p in parameters}
    own = dict(inputs or {})
    letters = {**{k: c for k, c in SYMBOLS.items() if k not in own}, **own}
    known = {**letters, **{c: c for c in COLUMNS if c not in letters}}
    found = Formula.of(in_one(formula), {k: c for k, c in known.items() if k not in described})
    for each in described:
        if each not in found.parameters:
            refuse_unknown(each, found.parameters, f"parameter of {name}")
    missing = [each for each in found.parameters if each not in described]
    if missing or len(described) < len(parameters):
        raise ValueError(f"{name}: describe each parameter once; {', '.join(missing) or 'twice'}")
    found = replace(found, parameters=tuple(described))
    by_unit: dict[str, Any] = {}
    if units is not None:
        scaled = {known[letter] for powers in units.values() for letter in powers}
        place = {k: found.columns.index(c) for k, c in known.items() if c in found.columns}
        by_unit["rescale"] = _rescale(found.parameters, place, units)
        by_unit["unscaled"] = tuple(c for c in found.columns if c not in scaled)
    read = {"latex": found.latex, "output": found.output, "linear": found.linear}
    law = Law(
        name=name,
        formula=formula,
        source=source,
        parameters=tuple(parameters),
        inputs=found.columns,
        predict=found.predict,
        gradient=found.gradient,
        **{**read, **by_unit, **fields},
    )
    return found.stated(law)


def in_one(formula: str) -> str:
    """A formula with its definitions put in.

    >>> in_one("L = E + A / M^alpha, M = N * P")
    'L = E + A / (N * P)^alpha'
    """
    whole, *definitions = formula.split(", ")
    for definition in definitions:
        left, right = definition.split(" = ")
        whole = re.sub(rf"\b{left}\b", f"({right})", whole)
    return whole


def _rescale(
    names: tuple[str, ...], place: Mapping[str, int], units: Powers
) -> Callable[[Array, Array], Array]:
    """``Law.rescale`` where units only multiply parameters; ``place`` has each letter's input."""

    def rescale(params: Array, unit: Array) -> Array:
        out, logs = params.copy(), np.log(unit)
        for name, powers in units.items():
            factors = [_power(params, names, by) * logs[place[k]] for k, by in powers.items()]
            out[..., names.index(name)] *= np.exp(sum(factors))
        return out

    return rescale


def _power(params: Array, names: tuple[str, ...], power: float | str) -> Any:
    if not isinstance(power, str):
        return power
    value = params[..., names.index(power.removeprefix("-"))]
    return -value if power.startswith("-") else value
