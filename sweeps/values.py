"""Lists of values: written out, or spaced evenly in the logarithm or on the number line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scaling.base import finite_number
from sweeps.document import Document, Where, called, kind

SPACINGS = ("log", "linear", "range")
SPACING_KEYS = (*SPACINGS, "round_to")
MAX_RUNS = 1_000_000


def is_spacing(value: Any) -> bool:
    """Whether ``value`` is a spacing such as ``{log: [1e5, 1e7, 5]}``."""
    return isinstance(value, Mapping) and any(key in SPACINGS for key in value)


def values(document: Document, value: Any, where: Where) -> list[Any]:
    """The values that ``value`` stands for, in order.

    A list is itself and a single value a list of one. ``{log: [low, high, count]}`` is evenly
    spaced in the logarithm, ``{linear: [low, high, count]}`` on the line, both ends included;
    ``{range: [start, stop, step]}`` counts as Python's ``range`` does. ``round_to: m`` beside
    ``log`` or ``linear`` rounds to multiples of m.

    Raises
    ------
    ValueError
        If the list is empty, or the spacing has other than its numbers.
    """
    if is_spacing(value):
        return _spaced(document, value, where)
    if isinstance(value, Mapping):
        document.mapping(value, where, SPACING_KEYS)
        document.refuse(where, f"{called(where)} has no spacing: give one of {', '.join(SPACINGS)}")
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        document.refuse(where, f"{called(where)} is an empty list: give at least one value")
    for i, item in enumerate(listed):
        if item is None or isinstance(item, Mapping):
            document.refuse((*where, i), f"{called(where)} must hold values, not {kind(item)}")
    return list(listed)


def number(document: Document, value: Any, where: Where, low: float = -math.inf) -> float:
    """``value`` as a finite number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        document.refuse(where, f"{called(where)} must be a number, not {kind(value)}")
    try:
        finite_number(called(where), value)
    except ValueError as error:
        document.refuse(where, str(error))
    if value < low:
        document.refuse(where, f"{called(where)} {value:g} is below {low:g}")
    return value


def _spaced(document: Document, value: Any, where: Where) -> list[Any]:
    keys = document.mapping(value, where, SPACING_KEYS)
    chosen = [key for key in SPACINGS if key in keys]
    if len(chosen) > 1:
        document.refuse(where, f"{called(where)} has both {' and '.join(chosen)}: give one")
    spacing = chosen[0]
    at = (*where, spacing)
    limits = keys[spacing]
    if spacing == "range":
        return _range(document, limits, at, keys)
    if not isinstance(limits, list | tuple) or len(limits) != 3:
        document.refuse(at, f"{spacing} takes [low, high, count], not {limits!r}")
    low, high, count = (number(document, v, (*at, i)) for i, v in enumerate(limits))
    if count != int(count) or not 1 <= count <= MAX_RUNS:
        document.refuse((*at, 2), f"count {count:g} is not a whole number from 1 to {MAX_RUNS}")
    if count == 1 and low != high:
        document.refuse((*at, 2), "count 1 leaves the range [low, high] without its end: give 2")
    if spacing == "log" and min(low, high) <= 0:
        document.refuse(at, f"log needs numbers above 0, not [{low:g}, {high:g}]")
    steps = max(1, int(count) - 1)
    if spacing == "log":
        inner = [low * (high / low) ** (i / steps) for i in range(int(count))]
    else:
        inner = [low + (high - low) * (i / steps) for i in range(int(count))]
    inner[0], inner[-1] = low, high
    return _rounded(document, inner, keys, where)


def _rounded(document: Document, spaced: list[Any], keys: Any, where: Where) -> list[Any]:
    """To multiples of ``round_to``, each once; to twelve digits without it."""
    if "round_to" not in keys:
        return [float(f"{v:.12g}") for v in spaced]
    step = number(document, keys["round_to"], (*where, "round_to"))
    if step <= 0:
        document.refuse((*where, "round_to"), f"round_to {step:g} must be above 0")
    whole = step == int(step)
    multiples = [max(1, round(v / step)) if v > 0 else round(v / step) for v in spaced]
    scaled = [m * int(step) if whole else float(f"{m * step:.12g}") for m in multiples]
    return list(dict.fromkeys(scaled))


def _range(document: Document, limits: Any, at: Where, keys: Any) -> list[Any]:
    if "round_to" in keys:
        document.refuse(at, "round_to goes with log or linear; range has its own step")
    if not isinstance(limits, list | tuple) or not 2 <= len(limits) <= 3:
        document.refuse(at, f"range takes [start, stop] or [start, stop, step], not {limits!r}")
    for i, v in enumerate(limits):
        if number(document, v, (*at, i)) != int(v):
            document.refuse((*at, i), f"range takes whole numbers, not {v!r}")
    start, stop, step = (int(v) for v in (*limits, 1)[:3])
    if step == 0:
        document.refuse(at, "range has step 0")
    counted = range(start, stop, step)
    if not counted:
        document.refuse(at, f"range [{start}, {stop}, {step}] is empty")
    if len(counted) > MAX_RUNS:
        document.refuse(at, f"range has {len(counted)} values; the limit is {MAX_RUNS}")
    return list(counted)
