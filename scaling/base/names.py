"""Refusing an unknown name with the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NoReturn


def refuse_unknown(name: str, valid: Iterable[str], what: str, where: str = "") -> NoReturn:
    """Raise ``ValueError``: unknown ``what`` ``name``, the nearest valid name, and all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{where}unknown {what} {name!r}: {guess}valid: {', '.join(names)}")
