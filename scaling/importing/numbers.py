"""Amounts and times of runs from what people wrote."""

from __future__ import annotations

import math
from typing import Any

from scaling.base import whole
from scaling.table_file import number_of


def seconds_of(value: Any) -> float | None:
    """A time span or a time in seconds; None where it is none."""
    try:
        seconds = number_of(value)
    except ValueError:
        return None
    return float(seconds) if math.isfinite(seconds) else None


def count_of(value: Any) -> int | float:
    """An amount above 0, as an int where it is whole.

    Raises
    ------
    ValueError
        If it is none.
    """
    number = number_of(value)
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"{value!r} is not above 0")
    counted: int | float = whole(number)
    return counted
