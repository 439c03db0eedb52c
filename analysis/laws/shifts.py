"""A law whose level differs from group to group, for forecasts: what a text column names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.groups import grouped

SHIFT = "u"
LIKELY = 0.5
"""By how much groups may well differ: in logarithms and logits, or as a share of a plain
response's standard deviation."""


def shifted(law: Law, level: str, column: str, names: Sequence[str], spread: float = 1.0) -> Law:
    """``law`` with a shift of its ``level`` for each group that ``column`` has.

    A positive level is multiplied by exp(u), any other gets u added. Each u is drawn towards 0
    (its range of starts, by which ``auto`` believes, is ``LIKELY`` times ``spread`` about it), so
    a group that the law has not seen is predicted as the groups are on average.
    """
    at = law.names.index(level)
    positive = law.parameters[at].scale == "log"

    def base(params: Array) -> Array:
        out = params[..., :-1].copy()
        shift = params[..., -1]
        out[..., at] = out[..., at] * np.exp(shift) if positive else out[..., at] + shift
        return out

    def predict(params: Array, *arrays: Array) -> Array:
        return law.predict(base(params), *arrays)

    def gradient(params: Array, *arrays: Array) -> Array:
        moved = base(params)
        slopes = law.gradient(moved, *arrays)
        own = slopes[..., at : at + 1, :]
        if positive:
            by_shift = own * moved[..., at, None, None]
            slopes = slopes.copy()
            slopes[..., at, :] *= np.exp(params[..., -1, None])
            return np.concatenate([slopes, by_shift], axis=-2)
        return np.concatenate([slopes, own], axis=-2)

    def rescale(params: Array, units: Array) -> Array:
        assert law.rescale is not None
        return np.concatenate([law.rescale(params[..., :-1], units), params[..., -1:]], axis=-1)

    wide = LIKELY * spread
    shift = Parameter(SHIFT, f"shift of {level}", -1e30, 1e30, (-wide, wide), scale="linear")
    mark = f"{level} * exp({SHIFT})" if positive else f"{level} + {SHIFT}"
    left, right = law.formula.split(" = ", 1)
    whole = replace(
        law,
        formula=f"{left} = {right.replace(level, mark, 1)}",
        latex=f"{left} = {right.replace(level, mark, 1)}",
        parameters=(*law.parameters, shift),
        predict=predict,
        gradient=gradient,
        rescale=rescale,
        curvature=None,
    )
    return grouped(whole, {SHIFT: column}, {column: names}, (SHIFT,))
