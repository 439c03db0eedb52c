"""Laws whose parameters may have a value for each group of rows: ``E[family]`` in a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.laws.base import Array, Law
from analysis.laws.logarithm import law_of_log
from analysis.laws.own import escaped
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd


UNSEEN = -1.0
"""The number of a group that a law has no values for."""


@dataclass(frozen=True)
class Groups:
    """Which parameters of ``law``, the law of one group, have a value for each group.

    Attributes
    ----------
    law : Law
        The law of one group.
    by : tuple of (str, str)
        Parameter and the column whose groups it has values for.
    levels : tuple of (str, tuple of str)
        Column and its groups, whose numbers from 0 are what the grouped law takes as input.
    pooled : tuple of str
        Parameters whose values are drawn towards their mean by as much as the rows say.
    """

    law: Law
    by: tuple[tuple[str, str], ...]
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    pooled: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that name groups."""
        return tuple(column for column, _ in self.levels)

    @cached_property
    def expanded(self) -> NDArray[np.intp]:
        """``(p,)``: the parameter of ``law`` that each parameter of the grouped law is."""
        return np.repeat(np.arange(len(self._sizes)), self._sizes)

    @cached_property
    def _sizes(self) -> list[int]:
        by, levels = dict(self.by), dict(self.levels)
        return [len(levels[by[name]]) if name in by else 1 for name in self.law.names]

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First index of each parameter of ``law``, and which column's number is added to it."""
        by = dict(self.by)
        first = np.cumsum([0, *self._sizes[:-1]])
        steps = np.zeros((len(self.law.names), len(self.columns)), dtype=int)
        for i, name in enumerate(self.law.names):
            if name in by:
                steps[i, self.columns.index(by[name])] = 1
        return first, steps

    def values_of(self, name: str) -> slice:
        """Where the values of a parameter of ``law`` stand among those of the grouped law."""
        i = self.law.names.index(name)
        first = int(self._places[0][i])
        return slice(first, first + self._sizes[i])

    def cells(self, codes: Sequence[Array]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """For rows of the same groups: their parameters' indices ``(q,)``, and the rows."""
        first, steps = self._places
        keys, of = np.unique(np.stack(codes).astype(int), axis=1, return_inverse=True)
        means = len(self.expanded) + np.arange(len(first))
        for i, key in enumerate(keys.T):
            unseen = steps @ (key < 0) > 0
            yield np.where(unseen, means, first + steps @ key), np.flatnonzero(of.ravel() == i)

    def _place_of_rows(self, codes: Sequence[Array]) -> NDArray[np.intp]:
        """``(n, q)``: where each row has its parameters."""
        first, steps = self._places
        numbers = np.stack(codes).astype(int)
        place = first[:, None] + steps @ numbers
        means = len(self.expanded) + np.arange(len(first))
        return np.where(steps @ (numbers < 0) > 0, means[:, None], place).T

    def codes(self, column: str, values: Iterable[Any]) -> Array:
        """The number of each row's group; NaN where the law knows none of that name."""
        known = {level: float(i) for i, level in enumerate(dict(self.levels)[column])}
        return np.array([known.get(name, np.nan) for name in group_names(values)])

    def numbers(self, column: str, values: Iterable[Any]) -> Array:
        """The number of each row's group; ``UNSEEN`` where the law knows none of that name.

        Raises
        ------
        ValueError
            If it knows none, and a parameter with values for these groups is not pooled.
        """
        each = list(values)
        codes = self.codes(column, each)
        strange = np.isnan(codes)
        own = [name for name, of in self.by if of == column and name not in self.pooled]
        if strange.any() and own:
            unknown = str(each[int(np.flatnonzero(strange)[0])])
            refuse_unknown(unknown, dict(self.levels)[column], f"group of {column}")
        return np.where(strange, UNSEEN, codes)

    def with_means(self, params: Array) -> Array:
        """``params (..., p)``, then each parameter of ``law`` for a group that is not known.

        That is the mean over groups; of a positive parameter, of its logarithm.
        """
        means = [self._mean(params[..., self.values_of(name)], i)
                 for i, name in enumerate(self.law.names)]  # fmt: skip
        return np.concatenate([params, np.stack(means, axis=-1)], axis=-1)

    def with_one(self, params: Array, rng: np.random.Generator) -> Array:
        """As ``with_means`` for draws ``(k, p)``, with some known group's values in each draw:
        another group differs from the mean as those do.
        """
        rows = np.arange(len(params))
        own = [params[..., self.values_of(name)] for name in self.law.names]
        share = rng.random(len(params))
        chosen = [x[rows, (share * x.shape[-1]).astype(int)] for x in own]
        return np.concatenate([params, np.stack(chosen, axis=-1)], axis=-1)

    def _mean(self, values: Array, index: int) -> Array:
        if self.law.on_log[index]:
            return np.asarray(np.exp(np.mean(np.log(values), axis=-1)))
        return np.asarray(np.mean(values, axis=-1))

    def predict(self, params: Array, *arrays: Array) -> Array:
        """As ``Law.predict``: the inputs of ``law``, then the numbers of groups.

        Of a group that is ``UNSEEN`` by the means over groups, or by what ``params`` have after
        the values of all groups (``with_one``).
        """
        inputs, codes = self._parted(arrays)
        if params.shape[-1] == len(self.expanded) and any((c < 0).any() for c in codes):
            params = self.with_means(params)
        if self.law.by_row:
            own = params[..., self._place_of_rows(codes)]
            return self.law.predict(own, *(x[:, None] for x in inputs))[..., 0]
        out = np.empty((*params.shape[:-1], arrays[0].shape[-1]), dtype=params.dtype)
        for place, rows in self.cells(codes):
            out[..., rows] = self.law.predict(params[..., place], *(x[rows] for x in inputs))
        return out

    def gradient(self, params: Array, *arrays: Array) -> Array:
        """As ``Law.gradient``."""
        inputs, codes = self._parted(arrays)
        out = np.zeros((*params.shape, arrays[0].shape[-1]), dtype=params.dtype)
        if self.law.by_row:
            places = self._place_of_rows(codes)
            each = self.law.gradient(params[..., places], *(x[:, None] for x in inputs))
            for j, place in enumerate(places.T):
                out[..., place, np.arange(len(places))] = each[..., j, 0]
            return out
        for place, rows in self.cells(codes):
            slopes = self.law.gradient(params[..., place], *(x[rows] for x in inputs))
            out[..., place[:, None], rows] = slopes
        return out

    def curvature(self, params: Array, jacobian: Array, v: Array, *arrays: Array) -> Array:
        """As ``Law.curvature``: groups do not bend each other."""
        inputs, codes = self._parted(arrays)
        out = np.zeros((*params.shape, params.shape[-1]))
        if self.law.by_row and self.law.curvature is None:
            own = params[..., self._place_of_rows(codes)]
            each = self._differences(own, v[..., None], tuple(x[:, None] for x in inputs))
            for place, rows in self.cells(codes):
                out[..., place[:, None], place] += each[..., rows, :, :].sum(axis=-3)
            return out
        for place, rows in self.cells(codes):
            part = tuple(x[rows] for x in inputs)
            own, weights = params[..., place], v[..., rows]
            if self.law.curvature is not None:
                bend = self.law.curvature(own, jacobian[..., place[:, None], rows], weights, *part)
            else:
                bend = self._differences(own, weights, part)
            out[..., place[:, None], place] += bend
        return out

    def square(self, jacobian: Array, weights: Array, arrays: tuple[Array, ...]) -> Array:
        """``jacobian diag(weights) jacobian'`` ``(..., p, p)``: a row has slopes by the parameters
        of its own group alone."""
        _, codes = self._parted(arrays)
        out = np.zeros((*jacobian.shape[:-1], jacobian.shape[-2]))
        for place, rows in self.cells(codes):
            part = jacobian[..., place[:, None], rows]
            weighted = part * weights[..., None, rows]
            out[..., place[:, None], place] += np.matmul(weighted, part.swapaxes(-1, -2))
        return out

    def rescale(self, params: Array, units: Array) -> Array:
        """As ``Law.rescale``, for a law whose shared parameters are the same in all groups."""
        assert self.law.rescale is not None
        out = params.copy()
        for level in range(max(self._sizes)):
            place = self._places[0] + np.minimum(level, np.array(self._sizes) - 1)
            out[..., place] = self.law.rescale(params[..., place], units[: len(self.law.inputs)])
        return out

    def expand(self, params: Array) -> Array:
        """Parameters ``(..., q)`` of ``law`` as the grouped law's, the same in each group."""
        return params[..., self.expanded]

    def _parted(self, arrays: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        count = len(self.law.inputs)
        return arrays[:count], arrays[count:]

    def _differences(self, params: Array, v: Array, inputs: tuple[Array, ...]) -> Array:
        """Second derivatives by the parameters of ``law``, by differences of its gradient."""
        small = 1e-6 if params.dtype == np.float64 else 1e-3
        here = np.matmul(self.law.gradient(params, *inputs), v[..., None])[..., 0]
        out = np.empty((*params.shape, params.shape[-1]))
        least = np.where(self.law.on_log, 0.0, 1.0)
        for j in range(params.shape[-1]):
            step = small * np.maximum(np.abs(params[..., j]), least[j])
            moved = params.copy()
            moved[..., j] += step
            there = np.matmul(self.law.gradient(moved, *inputs), v[..., None])[..., 0]
            out[..., j] = (there - here) / step[..., None]
        return 0.5 * (out + out.swapaxes(-1, -2))


def grouped(
    law: Law,
    by: Mapping[str, str],
    levels: Mapping[str, Sequence[str]],
    pooled: Sequence[str] = (),
) -> Law:
    """``law`` with one value of each parameter in ``by`` for each group of its column.

    Its parameters are called ``E[llama]``, its further inputs are the columns of groups, as
    numbers from 0 in the order of ``levels``. Parameters in ``pooled`` are drawn towards their
    mean (``analysis.fits.pooling``); the others are free in each group.

    Raises
    ------
    ValueError
        If a parameter is not known, or a column has fewer than two groups.
    """
    for name in (*by, *pooled):
        if name not in law.names:
            refuse_unknown(name, law.names, f"parameter of {law.name}")
    if law.of_log is not None:
        return law_of_log(grouped(law.of_log, by, levels, pooled))
    used = {column: tuple(levels[column]) for column in dict.fromkeys(by.values())}
    for column, names in used.items():
        if column in law.inputs:
            raise ValueError(
                f"column {column!r} is an input of {law.name} and names groups too: copy it under "
                "another name"
            )
        if len(names) < 2:
            raise ValueError(
                f"column {column!r} has {len(names)} group of rows; a value for each group needs "
                "two: name a column with more, or leave the groups out"
            )
    groups = Groups(law, tuple(by.items()), tuple(used.items()), tuple(pooled))
    parameters = tuple(
        replace(
            p, name=f"{p.name}[{level}]", symbol=rf"{p.latex}^{{(\mathrm{{{escaped(level)}}})}}"
        )
        if p.name in by
        else p
        for p in law.parameters
        for level in (used[by[p.name]] if p.name in by else ("",))
    )
    linear = tuple(
        p.name
        for p, i in zip(parameters, groups.expanded, strict=True)
        if law.names[i] in law.linear
    )
    marks = {name: f"{'~' * (name in pooled)}{column}" for name, column in by.items()}
    whole = replace(
        law,
        formula=_marked(law.formula, {name: f"{name}[{mark}]" for name, mark in marks.items()}),
        latex=_marked(
            law.latex,
            {
                p.latex: rf"{p.latex}^{{(\mathrm{{{escaped(by[p.name])}}})}}"
                for p in law.parameters
                if p.name in by
            },
        ),
        parameters=parameters,
        inputs=(*law.inputs, *used),
        predict=groups.predict,
        gradient=groups.gradient,
        curvature=groups.curvature,
        rescale=None if law.rescale is None else groups.rescale,
        linear=linear,
        starts=None if law.starts is None else _starts(groups),
        optimum=None,
        exponent=None,
        options=None,
        of_log=None,
        groups=groups,
    )
    return whole if _keeps_form(whole, groups) else replace(whole, rescale=None)


def by_group(
    law: Law,
    column: str,
    table: pd.DataFrame,
    parameters: Sequence[str] = (),
    pooled: bool = True,
) -> Law:
    """``law`` with values for each group of rows that a ``column`` of the ``table`` names.

    Of the ``parameters`` that are named, or of all that the law is linear in; drawn towards their
    mean unless ``pooled`` is false.

    Raises
    ------
    ValueError
        As ``grouped``; and if no parameter is named and the law is linear in none.
    """
    if law.groups is not None:
        raise ValueError(f"the formula {law.formula!r} says itself what has values for each group")
    stated = law.of_log or law
    chosen = tuple(parameters) or stated.linear
    if not chosen:
        raise ValueError(
            f"{law.name} is linear in no parameter; name those with a value for each {column}"
        )
    levels = {column: groups_in(table, column)}
    return grouped(law, dict.fromkeys(chosen, column), levels, chosen if pooled else ())


def _marked(text: str, marks: Mapping[str, str]) -> str:
    """``text`` with each symbol replaced by what marks it, where it stands by itself."""
    for symbol, mark in marks.items():
        alone = rf"(?<![\w\\]){re.escape(symbol)}(?![\w\[(])"
        text = re.sub(alone, mark.replace("\\", r"\\"), text)
    return text


def _starts(groups: Groups) -> Any:
    def starts(observed: Array, *arrays: Array) -> Array:
        known = groups.law.starts
        assert known is not None
        return groups.expand(known(observed, *arrays[: len(groups.law.inputs)]))

    return starts


def _keeps_form(law: Law, groups: Groups) -> bool:
    """Whether a change of units leaves a grouped law's shared parameters shared."""
    if law.rescale is None:
        return True
    rng = np.random.default_rng(0)
    n, sizes = 32, [len(names) for _, names in groups.levels]
    params = rng.uniform(0.5, 1.5, len(law.parameters))
    inputs = [*rng.uniform(1.0, 2.0, (len(groups.law.inputs), n))]
    codes = [rng.integers(0, size, n).astype(float) for size in sizes]
    units = np.concatenate([rng.uniform(2.0, 3.0, len(inputs)), np.ones(len(codes))])
    moved = [x / u for x, u in zip([*inputs, *codes], units, strict=True)]
    with np.errstate(all="ignore"):
        before = law.predict(params, *inputs, *codes)
        after = law.predict(law.rescale(params, units), *moved)
    return bool(np.allclose(before, after, equal_nan=True))


def groups_in(table: pd.DataFrame, column: str) -> list[str]:
    """The groups that a column names, in the order of their first rows that can be used."""
    rows = table[table["exclude_reason"] == ""] if "exclude_reason" in table else table
    return [name for name in dict.fromkeys(group_names(rows[column])) if name]


def group_names(values: Iterable[Any]) -> list[str]:
    """The name of each row's group; empty where it has none. 70000000.0 is ``70000000``."""
    out = []
    for value in values:
        if isinstance(value, (float, np.floating)):
            whole = np.isfinite(value) and value == int(value)
            value = "" if np.isnan(value) else int(value) if whole else value
        out.append("" if value is None else str(value).strip())
    return out
