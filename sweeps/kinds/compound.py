"""Scaling a network in depth, width and resolution: together, one alone, or to find the balance.

Depth is multiplied by alpha^phi, width by beta^phi, resolution by gamma^phi, on any family with
these three dials (Tan & Le 2019, arXiv 1905.11946, eq. 3). FLOPs are the family's exact ones,
not the formula's alpha beta^2 gamma^2, which rounding can miss by tens of percent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from scaling.families.vision import MULTIPLIERS, bracket
from sweeps.document import Document, Where
from sweeps.kinds.base_model import BaseModel, base_model
from sweeps.kinds.grid import Options, check_size
from sweeps.values import number, values

# Tan & Le 2019, sec. 3.3: found by a grid search at phi = 1 under alpha beta^2 gamma^2 = 2.
PAPER = {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
AXES = ("depth", "width", "resolution")
SEARCHED = {
    "alpha": {"linear": [1, 2, 11]},
    "beta": {"linear": [1, 1.4, 9]},
    "gamma": {"linear": [1, 1.4, 9]},
}


def compound_points(document: Document, block: Any, where: Where) -> list[Options]:
    """``compound``: one point for each ``phi``.

    ``{phi: [0, 1, 2], alpha: 1.2, beta: 1.1, gamma: 1.15}``; the coefficients are the paper's
    if left out.

    Raises
    ------
    ValueError
        If there is no ``phi``, a coefficient is below 1, or the family lacks the dials.
    """
    keys = document.mapping(block, where, ("phi", *PAPER))
    if "phi" not in keys:
        document.refuse(where, "compound has no phi: give phi: [0, 1, 2, ...]")
    base_model(document, MULTIPLIERS)
    coefficients = _coefficients(document, keys, where)
    phis = values(document, keys["phi"], (*where, "phi"))
    return [
        _point(
            "compound", _compound(coefficients, float(number(document, phi, (*where, "phi", i))))
        )
        for i, phi in enumerate(phis)
    ]


def single_axis_points(document: Document, block: Any, where: Where) -> list[Options]:
    """``single_axis``: depth alone, width alone, resolution alone (Tan & Le 2019, fig. 3).

    Either the multipliers, ``{depth: [1, 2, 4], width: [1, 1.4, 2]}``, or factors of the base
    model's exact FLOPs that each axis meets as nearly as it can, ``{flops: [1, 2, 4]}``. With
    factors, ``axes`` chooses among depth, width, resolution and, to compare them with,
    ``compound`` (with ``alpha``, ``beta``, ``gamma``).

    Raises
    ------
    ValueError
        If both or neither are given, a multiplier is not above 0, or a factor is below 1.
    """
    keys = document.mapping(block, where, (*AXES, "flops", "axes", *PAPER))
    listed = [axis for axis in AXES if axis in keys]
    if bool(listed) == ("flops" in keys):
        document.refuse(
            where, "single_axis takes multipliers under depth, width, resolution, or flops: factors"
        )
    model = base_model(document, MULTIPLIERS)
    if listed:
        for key in ("axes", *PAPER):
            if key in keys:
                document.refuse((*where, key), f"{key} goes with flops: remove it")
        return [
            _point(axis, {f"{axis}_multiplier": _positive(document, factor, (*where, axis, i))})
            for axis in listed
            for i, factor in enumerate(values(document, keys[axis], (*where, axis)))
        ]
    axes = values(document, keys.get("axes", list(AXES)), (*where, "axes"))
    for i, axis in enumerate(axes):
        if axis not in (*AXES, "compound"):
            document.refuse(
                (*where, "axes", i), f"axis {axis!r} is none of {', '.join(AXES)}, compound"
            )
    if "compound" not in axes and (stray := next((key for key in PAPER if key in keys), None)):
        document.refuse((*where, stray), f"{stray} goes with axes: [..., compound]: remove it")
    coefficients = _coefficients(document, keys, where)
    factors = values(document, keys["flops"], (*where, "flops"))
    return [
        _at_flops(model, axis, number(document, factor, (*where, "flops", i), low=1), coefficients)
        for axis in axes
        for i, factor in enumerate(factors)
    ]


def search_points(document: Document, block: Any, where: Where) -> list[Options]:
    """``coefficient_search``: the cells of a grid that cost ``factor`` times the base model.

    ``{alpha: {linear: [1, 2, 11]}, beta: ..., gamma: ..., factor: 2, tolerance: 0.1}``: of all
    combinations, those whose exact forward FLOPs are within a share of ``tolerance`` of
    ``factor`` times the base model's (Tan & Le 2019, sec. 3.3, step 1).

    Raises
    ------
    ValueError
        If a coefficient is below 1, or no cell is within the tolerance; the message has the
        nearest.
    """
    keys = document.mapping(block, where, (*PAPER, "factor", "tolerance"))
    model = base_model(document, MULTIPLIERS)
    grids = []
    for name in PAPER:
        at = (*where, name)
        listed = values(document, keys.get(name, SEARCHED[name]), at)
        grids.append([float(number(document, v, (*at, i), low=1)) for i, v in enumerate(listed)])
    factor = number(document, keys.get("factor", 2), (*where, "factor"), low=1)
    tolerance = number(document, keys.get("tolerance", 0.1), (*where, "tolerance"), low=0)
    check_size(document, where, [len(grid) for grid in grids])
    base = model.cost({}).flops_forward
    cells = [dict(zip(MULTIPLIERS, cell, strict=True)) for cell in product(*grids)]
    ratios = [model.cost(cell).flops_forward / base for cell in cells]
    kept = [
        cell
        for cell, ratio in zip(cells, ratios, strict=True)
        if abs(ratio / factor - 1) <= tolerance
    ]
    if not kept:
        near = min(range(len(cells)), key=lambda i: abs(math.log(ratios[i] / factor)))
        document.refuse(
            where,
            f"none of {len(cells)} cells is within {tolerance:.3g} of {factor:g} times the base "
            f"model's FLOPs; the nearest has {ratios[near]:.4g} times: raise tolerance or refine "
            "the grid",
        )
    return [_point("search", cell, phi=1.0, alone=_alone(model, cell, base)) for cell in kept]


def _alone(model: BaseModel, cell: Mapping[str, float], base: int) -> dict[str, float]:
    """FLOPs with one multiplier of the cell alone over the base's: what rounding made of it."""
    return {
        f"flops_{axis}": model.cost({key: cell[key]}).flops_forward / base
        for axis, key in zip(AXES, MULTIPLIERS, strict=True)
    }


def _coefficients(document: Document, keys: Mapping[str, Any], where: Where) -> list[float]:
    return [
        float(number(document, keys.get(name, default), (*where, name), low=1))
        for name, default in PAPER.items()
    ]


def _positive(document: Document, value: Any, where: Where) -> float:
    if number(document, value, where) <= 0:
        document.refuse(where, f"{value} must be above 0")
    return float(value)


def _compound(coefficients: list[float], phi: float) -> dict[str, float]:
    """The three multipliers at ``phi``."""
    powers = [coefficient**phi for coefficient in coefficients]
    return {"phi": phi, **dict(zip(MULTIPLIERS, powers, strict=True))}


def _at_flops(model: BaseModel, axis: str, factor: float, coefficients: list[float]) -> Options:
    """The point on ``axis`` whose exact FLOPs are nearest to ``factor`` times the base's."""

    def options(x: float) -> dict[str, float]:
        if axis != "compound":
            return {f"{axis}_multiplier": math.exp(x)}
        total = sum(w * math.log(c) for w, c in zip((1, 2, 2), coefficients, strict=True))
        return _compound(coefficients, x / total)

    def count(x: float) -> float:
        chosen = {key: value for key, value in options(x).items() if key in MULTIPLIERS}
        return float(model.cost(chosen).flops_forward)

    if factor == 1:
        return _point(axis, options(0.0))
    target = factor * model.cost({}).flops_forward
    middle = math.log(4 * factor) / 2  # FLOPs grow more slowly than depth: stem and head stay
    ends = bracket(lambda x: count(middle + x), target, middle)
    best = min((middle + x for x in ends), key=lambda x: abs(math.log(count(x) / target)))
    return _point(axis, options(best))


def _point(
    axis: str,
    options: Mapping[str, float],
    phi: float | None = None,
    alone: Mapping[str, float] | None = None,
) -> Options:
    """A point and its labels; a model that is not scaled is the ``base`` of every axis."""
    multipliers = {key: float(f"{options.get(key, 1.0):.6g}") for key in MULTIPLIERS}
    phi = options.get("phi", phi)
    labels: dict[str, Any] = {"axis": axis, **multipliers, **(alone or {})}
    if all(value == 1 for value in multipliers.values()):
        labels["axis"] = "base"
    if phi is not None:
        labels["phi"] = float(f"{phi:.6g}")
    return {**multipliers, "labels": labels}
