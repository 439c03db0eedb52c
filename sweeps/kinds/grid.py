"""``grid``: every combination of the values of some options, some of them in step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from sweeps.document import Document, Where
from sweeps.values import MAX_RUNS, values

KEYS = ("product", "zip")
Options = dict[str, Any]


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """``product`` crosses its options; those under ``zip`` go in step and count as one of them.

    ``{product: {width: [16, 32], depth: [2, 4]}, zip: {lr: [0.01, 0.02], batch_size: [8, 16]}}``
    has 2 x 2 x 2 points. The first option varies slowest.

    Raises
    ------
    ValueError
        If lists under ``zip`` differ in length, an option is in both, or there is neither.
    """
    keys = document.mapping(block, where, KEYS)
    crossed = axes(document, keys.get("product", {}), (*where, "product"))
    zipped = in_step(document, keys.get("zip", {}), (*where, "zip"))
    if not crossed and not zipped:
        document.refuse(where, "grid has no options: give product, zip, or both")
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
