"""Refusing an unknown name with the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NoReturn

from scaling.base.errors import OptionError


def refuse_unknown(
    name: str, valid: Iterable[str], what: str, where: str = "", option: str = "", hint: str = ""
) -> NoReturn:
    """Raise ``OptionError``: unknown ``what`` ``name``, the nearest valid name, and all of them.

    ``option`` is the option that holds the name, where it is not called ``what``; ``hint`` is
    where else the name is known, which is said unless a valid one is all but the same.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8 if hint else 0.5)
    guess = f"did you mean {near[0]!r}? " if near else f"{hint}; " if hint else ""
    message = f"{where}unknown {what} {name!r}: {guess}valid: {', '.join(names)}"
    raise OptionError(message, option or what)
