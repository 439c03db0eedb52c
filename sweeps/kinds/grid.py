"""``grid``: every combination of some options, some of them in step, some under a condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from scaling.base import refuse_unknown
from sweeps.document import Document, Where, called, kind
from sweeps.values import MAX_RUNS, values

AXES = ("product", "zip")
KEYS = (*AXES, "cases")
Options = dict[str, Any]


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """``product`` crosses its options; those under ``zip`` go in step and count as one of them.

    ``{product: {width: [16, 32], depth: [2, 4]}, zip: {lr: [0.01, 0.02], batch_size: [8, 16]}}``
    has 2 x 2 x 2 points. The first option varies slowest. Each of ``cases`` has a ``product`` or
    ``zip`` of its own, which goes with the points where ``when`` holds:
    ``{when: {optimizer: [sgd, rmsprop]}, product: {momentum: [0.8, 0.9]}}``.

    Raises
    ------
    ValueError
        If lists under ``zip`` differ in length, an option is given twice, there is none, or a
        case holds nowhere.
    """
    keys = document.mapping(block, where, KEYS)
    found = _block(document, keys, where)
    cases = keys.get("cases", [])
    if not isinstance(cases, list):
        document.refuse((*where, "cases"), f"cases must be a list, not {kind(cases)}")
    for i, case in enumerate(cases):
        found = _with_case(document, case, (*where, "cases", i), found)
    return found


def _with_case(
    document: Document, block: Any, where: Where, before: list[Options]
) -> list[Options]:
    """The points ``before``, those where a case holds crossed with its own."""
    keys = document.mapping(block, where, ("when", *AXES))
    condition = axes(document, keys.get("when", {}), (*where, "when"))
    if not condition:
        document.refuse(where, "a case has no when: say for which values of which option it is")
    for option, wanted in condition.items():
        there = [point[option] for point in before if option in point]
        at = (*where, "when", option)
        if not there:
            known = {key for point in before for key in point}
            refuse_unknown(option, known, "option of the grid", document.at(at))
        if odd := [value for value in wanted if value not in there]:
            has = ", ".join(dict.fromkeys(map(str, there)))
            document.refuse(at, f"{option} {odd[0]} is not in the grid, which has {has}")
    holds = [all(point.get(o) in v for o, v in condition.items()) for point in before]
    if not any(holds):
        document.refuse((*where, "when"), "no point of the grid has all of these values together")
    own = _block(document, keys, where)
    for key in own[0]:
        if any(held and key in point for held, point in zip(holds, before, strict=True)):
            axis = next(axis for axis in AXES if key in keys.get(axis, {}))
            document.refuse(
                (*where, axis, key), f"{key} varies already where this case holds: keep one"
            )
    check_size(document, where, [len(before) - sum(holds) + sum(holds) * len(own)])
    return [
        point | further
        for held, point in zip(holds, before, strict=True)
        for further in (own if held else [{}])
    ]


def _block(document: Document, keys: Mapping[str, Any], where: Where) -> list[Options]:
    """The points of ``product`` and ``zip``."""
    crossed = axes(document, keys.get("product", {}), (*where, "product"))
    zipped = in_step(document, keys.get("zip", {}), (*where, "zip"))
    if not crossed and not zipped:
        document.refuse(where, f"{called(where)} has no options: give product, zip, or both")
    both = next((key for key in crossed if zipped and key in zipped[0]), None)
    if both:
        document.refuse((*where, "zip", both), f"{both} is in product and in zip: keep one")
    check_size(document, where, [*(len(v) for v in crossed.values()), len(zipped) or 1])
    names = list(crossed)
    combinations = product(*crossed.values(), zipped or [{}])
    return [dict(zip(names, chosen, strict=True)) | rest for *chosen, rest in combinations]


def axes(document: Document, block: Any, where: Where) -> dict[str, list[Any]]:
    """A mapping of options to lists of values."""
    named = document.mapping(block, where)
    return {key: values(document, value, (*where, key)) for key, value in named.items()}


def in_step(document: Document, block: Mapping[str, Any], where: Where) -> list[Options]:
    """Points that take the first of every list, then the second of every list, ...

    A single value goes with all of them.
    """
    lists = axes(document, block, where)
    lengths = {len(listed) for listed in lists.values() if len(listed) > 1} or {1}
    if len(lengths) > 1:
        sizes = ", ".join(f"{key} has {len(listed)}" for key, listed in lists.items())
        document.refuse(where, f"lists in step must be equally long: {sizes}")
    n = lengths.pop()
    if not lists:
        return []
    return [
        {key: listed[i if len(listed) > 1 else 0] for key, listed in lists.items()}
        for i in range(n)
    ]


def check_size(document: Document, where: Where, lengths: list[int]) -> None:
    """Refuse a product too large to be meant."""
    if math.prod(lengths) > MAX_RUNS:
        document.refuse(
            where,
            f"{' x '.join(map(str, lengths))} is {math.prod(lengths):.3g} runs; "
            f"the limit is {MAX_RUNS}: take fewer values",
        )
