"""Numbers as people write them into tables and configurations."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from typing import Any

LARGEST = sys.float_info.max
LONGEST = 400  # characters of a number
SHOWN = 60  # characters of what is none
_SUFFIXES = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
_WRITTEN = re.compile(
    r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?)\s*([kmbgt]?)", re.IGNORECASE
)
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def number_of(value: Any) -> float:
    """A number, or one that is written as ``125M``, ``1.3e9``, ``1,000,000`` or ``NaN``.

    A plain number is taken to the bit.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> [number_of(v) for v in ("125M", "1.3e9", "1,000,000", " 0.1 ", "1.3 B", 7)]
    [125000000, 1300000000, 1000000, 0.1, 1300000000, 7]
    """
    if _is_number(value):
        return float(value) if isinstance(value, float) else int(value)
    text = value.strip() if isinstance(value, str) and len(value) <= LONGEST else ""
    if _is_number(plain := plain_value(text)):
        return number_of(plain)
    text = text.replace(",", "") if _GROUPED.fullmatch(text) else text
    if found := _WRITTEN.fullmatch(text):
        exact = Decimal(found[1].replace("_", "")) * 10 ** _SUFFIXES[found[2].lower()]
        if abs(exact) <= LARGEST:
            return int(exact) if exact == exact.to_integral_value() else float(exact)
    shown = repr(value)
    shown = f"{shown[:SHOWN]}..." if len(shown) > SHOWN + 3 else shown
    raise ValueError(f"{shown} is not a number")


def _is_number(value: Any) -> bool:
    """Whether a float can hold it; one that is infinite or not a number is a float."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= LARGEST
    return isinstance(value, float)


def plain_value(text: str) -> Any:
    """The number that a field of text plainly is; the text where it is none.

    Examples
    --------
    >>> [plain_value(text) for text in ("12", "3.10", "1e-3", "125M", "007", "1_0")]
    [12, 3.1, 0.001, '125M', '007', '1_0']
    """
    if len(text) > LONGEST:
        return text
    if re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return int(text)
    try:
        return text if "_" in text or re.fullmatch(r"[+-]?\d+", text) else float(text)
    except ValueError:
        return text
