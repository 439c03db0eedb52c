"""Sizes of two numbers, all parameters and active ones, as two columns: ``30B (active 3B)``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from analysis.tables.reading.notes import Note
from scaling import find_column

if TYPE_CHECKING:
    import pandas as pd

ACTIVE = "num_params_active"
_SIZE = r"(\d[\d.,]*\s?[kmbgt]?)"
_ACTIVE = r"(?:active|activated|act\.?|a)"
_BOTH = re.compile(
    rf"{_SIZE}(?:\s*total)?\s*[-(\[,;/]?\s*(?:{_ACTIVE}\s*[:=]?\s*{_SIZE}|{_SIZE}\s*{_ACTIVE})\s*[)\]]?",
    re.IGNORECASE,
)


def with_active(frame: pd.DataFrame, name: str | None, notes: list[str]) -> pd.DataFrame:
    """``frame`` with two columns for that of the sizes, ``name``, where its cells have both.

    A cell with one number is a dense model's: both are that.
    """
    if name is None or name not in frame or find_column(ACTIVE, [str(own) for own in frame]):
        return frame
    cells = frame[name].tolist()
    both = [_BOTH.fullmatch(cell.strip()) if isinstance(cell, str) else None for cell in cells]
    if not any(both):
        return frame
    frame[name] = [one[1] if one else cell for one, cell in zip(both, cells, strict=True)]
    frame[ACTIVE] = [
        one[2] or one[3] if one else cell for one, cell in zip(both, cells, strict=True)
    ]
    said = f"{name!r} has all and active parameters: these are {ACTIVE}"
    notes.append(Note(said, ACTIVE, taken=True))
    return frame
