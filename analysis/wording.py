"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable


def count(value: float) -> str:
    """A count to three digits with its suffix: 1.5K, 21M, 3.2B, 1.1T.

    >>> count(21_400_000), count(182.8e9), count(640), count(1.96e-6)
    ('21.4M', '183B', '640', '2.0 × 10⁻⁶')
    """
    if not math.isfinite(value):
        return ""
    if 0 < value < 1e-3 or value >= 1e15:
        return scientific(value)
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def across(values: Iterable[float], form: Callable[[float], str] = count) -> str:
    """From the least to the largest value; one word where both read the same.

    >>> across([7.6e9, 8e9, 11.4e9]), across([1e6, 1e6])
    ('7.6B to 11.4B', '1M')
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = form(min(known)), form(max(known))
    return low if low == high else f"{low} to {high}"


def counts(interval: tuple[float, float]) -> str:
    """An interval of counts: ``7.6B to 11.4B``; empty if it is not known.

    >>> counts((7.6e9, 11.4e9))
    '7.6B to 11.4B'
    """
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{count(low)} to {count(high)}"


def span(interval: tuple[float, float], form: str = ".4g") -> str:
    """An interval of plain numbers; empty if it is not known."""
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{low:{form}} to {high:{form}}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float) -> str:
    """A number by its power of ten.

    >>> scientific(1.37e18)
    '1.4 × 10¹⁸'
    """
    if not math.isfinite(value) or value <= 0:
        return ""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"


def share(value: float) -> str:
    """A signed relative error in percent.

    >>> share(-0.0123)
    '-1.23 %'
    """
    return f"{100 * value:+.2f} %" if math.isfinite(value) else ""


def cut(text: str, most: int = 48) -> str:
    """A text of at most ``most`` letters.

    >>> cut("a long name", 7)
    'a long…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
