"""A law from a formula in text, somebody's own; and the formula as it was read."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.laws.base import Array, Law
from analysis.laws.expression import (
    ONE,
    Bracket,
    Dual,
    compiled,
    latex_of,
    names_in,
    parsed,
    text_of,
)
from analysis.laws.groups import grouped
from analysis.laws.logarithm import law_of_log
from analysis.laws.own import free_parameters, linear_parameters, own_law, symbol
from scaling import COLUMNS

SYMBOLS = {"N": "num_params", "D": "num_tokens", "C": "flops", "U": "num_unique_tokens"}

FORMULA = "formula"
"""The name of a law from a formula."""


def formula_law(
    text: str,
    inputs: tuple[str, ...] | None = None,
    signed: tuple[str, ...] = (),
    start: Mapping[str, tuple[float, float]] | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
) -> Law:
    """A law from text such as ``"L = E + A / num_params**alpha"``.

    Numbers, ``+ - * / ** ^``, parentheses and ``log exp sqrt tanh`` are allowed. Names of
    run-table columns, the letters N, D, C, U and whatever ``inputs`` lists are inputs; every
    other name is a parameter, positive unless it is in ``signed``. ``start`` gives the range in
    which starting values of a parameter are sought (default 0.03 to 2, an exponent's range);
    parameters that the law is linear in need none. Left of ``=`` stands what is predicted, ``L``
    or a column, or its logarithm: in ``"log(L) = a + b*log(N)"`` the parameters that the right
    side is linear in may have either sign.

    A parameter with a column in brackets, ``E[family]``, has a value for each group of that
    column, whose groups ``levels`` lists; with ``E[~family]`` they are drawn towards their mean.

    Raises
    ------
    ValueError
        If the formula cannot be read or names nothing to fit; the message shows the part.

    Examples
    --------
    >>> law = formula_law("L = E + A / N**alpha")
    >>> law.inputs, law.names, law.linear
    (('num_params',), ('E', 'A', 'alpha'), ('E', 'A'))
    """
    known = {name: name for name in (*(inputs or ()), *COLUMNS)}
    formula = Formula.of(text, {**known, **{k: c for k, c in SYMBOLS.items() if k not in known}})
    for name in (*signed, *(start or {})):
        if name in formula.sources:
            raise ValueError(
                f"{name} of the formula {text!r} is the column {formula.sources[name]!r}, an "
                "input; give the parameter another name"
            )
    if formula.output in formula.columns:
        raise ValueError(
            f"{text!r} has {formula.output} on both sides: what is predicted is no input, so take "
            "it out of the right one"
        )
    if formula.of_log:
        signed = (*signed, *(name for name in formula.linear if name not in signed))
    parameters = free_parameters(formula.parameters, signed, start)
    law = own_law(
        FORMULA,
        formula.text,
        parameters,
        formula.columns,
        formula.predict,
        formula.gradient,
        output=formula.output,
        latex=formula.latex,
    )
    law = replace(law, options=_options)
    if formula.brackets:
        law = grouped(
            law,
            {name: bracket.column for name, bracket in formula.brackets.items()},
            _levels(formula.brackets, levels or {}),
            [name for name, bracket in formula.brackets.items() if bracket.pooled],
        )
    return formula.stated(law)


def group_columns(text: str) -> tuple[str, ...]:
    """The columns that stand in brackets in a formula, each once."""
    return tuple(dict.fromkeys(bracket.column for bracket in parsed(text)[1].values()))


def _levels(
    brackets: Mapping[str, Bracket], levels: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    for name, bracket in brackets.items():
        if bracket.column not in levels:
            raise ValueError(
                f"the formula has {name}[{bracket.column}], and {bracket.column} is no column of "
                "the table, whose groups would be known; name one that is, or give levels="
            )
    return levels


@dataclass(frozen=True)
class Formula:
    """A formula that was read: its tree, what each name in it is, and what it predicts."""

    left: str
    of_log: bool
    tree: ast.expr
    brackets: Mapping[str, Bracket]
    sources: Mapping[str, str]
    parameters: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, text: str, columns: Mapping[str, str]) -> Formula:
        """The formula in which the names ``columns`` are inputs, in the order of that mapping."""
        left, of_log = _left(text)
        tree, brackets = parsed(text)
        names = names_in(tree)
        sources = {name: columns[name] for name in names if name in columns}
        for name in brackets:
            if name in sources:
                raise ValueError(
                    f"the formula {text!r} has {name}[{brackets[name].column}], but {name} is the "
                    f"input {sources[name]}; give the parameter another name"
                )
        parameters = tuple(name for name in names if name not in sources)
        if not sources or not parameters:
            raise ValueError(
                f"the formula {text!r} has {len(sources)} inputs and {len(parameters)} parameters; "
                f"inputs are {', '.join(SYMBOLS)} and columns of the table{_known(columns)}"
                + _meant(parameters, columns)
            )
        inputs = tuple(sorted(set(sources.values()), key=list(columns.values()).index))
        return cls(left, of_log, tree, brackets, sources, parameters, inputs)

    @property
    def output(self) -> str:
        """The column that is predicted."""
        return "loss" if self.left == "L" else self.left

    @property
    def text(self) -> str:
        """The formula as it is printed."""
        left = f"log({self.left})" if self.of_log else self.left
        return f"{left} = {text_of(self.tree)}"

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""
        left = rf"\log {symbol(self.left)}" if self.of_log else symbol(self.left)
        return f"{left} = {latex_of(self.tree)}"

    @property
    def linear(self) -> tuple[str, ...]:
        """Parameters that the right side is jointly affine in."""
        return linear_parameters(self.parameters, len(self.columns), self.gradient)

    def evaluate(self, params: Array, arrays: tuple[Array, ...], derivatives: bool) -> Dual:
        """The right side, and its derivatives by the parameters if they are asked for."""
        by_column = dict(zip(self.columns, arrays, strict=True))
        values: dict[str, Dual] = {name: (by_column[c], {}) for name, c in self.sources.items()}
        for i, name in enumerate(self.parameters):
            value = params[..., i, None]
            values[name] = (value, {name: ONE} if derivatives else {})
        with np.errstate(all="ignore"):
            return compiled(self.tree)(values)

    def predict(self, params: Array, *arrays: Array) -> Array:
        """As ``Law.predict``, of the right side."""
        shape = (*params.shape[:-1], arrays[0].shape[-1])
        return np.broadcast_to(self.evaluate(params, arrays, False)[0], shape).copy()

    def gradient(self, params: Array, *arrays: Array) -> Array:
        """As ``Law.gradient``, of the right side."""
        slopes = self.evaluate(params, arrays, True)[1]
        out = np.zeros((*params.shape, arrays[0].shape[-1]))
        for i, name in enumerate(self.parameters):
            if name in slopes:
                out[..., i, :] = slopes[name]
        return out

    def stated(self, law: Law) -> Law:
        """``law`` as one of the output, if it is one of the output's logarithm."""
        return law_of_log(law) if self.of_log else law


def _left(text: str) -> tuple[str, bool]:
    """What a formula predicts, and whether it is stated for the logarithm of that."""
    left = text.rpartition("=")[0].strip() or "L"
    inner = re.fullmatch(r"(?:log|ln)\s*\((.*)\)", left)
    name = inner[1].strip() if inner else left
    if not name.isidentifier():
        raise ValueError(
            f"the formula {text!r} must have one name left of '=', or log(name); write "
            f"what is predicted there and the rest on the right"
        )
    return name, inner is not None


def _known(columns: Mapping[str, str]) -> str:
    """The columns that are somebody's own, as a remark."""
    own = [name for name in columns if name not in COLUMNS and name not in SYMBOLS]
    return f" ({', '.join(own)})" if own else ", or names listed in inputs="


def _meant(parameters: Sequence[str], columns: Mapping[str, str]) -> str:
    """The column that one of the names may have been meant to be, as a remark."""
    for name in parameters:
        if near := difflib.get_close_matches(name, columns, n=1, cutoff=0.7):
            return f"; is {name} {near[0]}?"
    return ""


def _options(law: Law) -> dict[str, Any]:
    """``signed`` and ``start`` of ``formula_law``."""
    return {
        "signed": [p.name for p in law.parameters if p.scale == "linear"],
        "start": {p.name: list(p.start) for p in law.parameters if p.low < p.high},
    }
