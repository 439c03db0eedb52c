"""Text with ``{name}`` in it, filled from values by name; ``{{`` and ``}}`` are braces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from typing import Any


def placeholders(text: str) -> list[str]:
    """The names that ``text`` asks for, each once, in order.

    Raises
    ------
    ValueError
        For a brace without its partner, or one without a name.

    Examples
    --------
    >>> placeholders("--lr={lr:.2e} --out={run_dir}/{seed}")
    ['lr', 'run_dir', 'seed']
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write {{{{ and }}}} for braces") from None
    names = [name for _, name, _, _ in parts if name is not None]
    for name in names:
        if not name or not name.replace(".", "_").replace("-", "_").isidentifier():
            raise ValueError(f"{text!r}: {{{name}}} is no name; write {{{{ and }}}} for braces")
    return list(dict.fromkeys(names))


def fill(text: str, values: Mapping[str, Any]) -> str:
    """``text`` with every ``{name}`` as :func:`as_word`, or by its own format (``{lr:.2e}``).

    Raises
    ------
    ValueError
        For a name without a value, or a format that its value has not.

    Examples
    --------
    >>> fill("--steps={n} --lr={lr:.0e} {{}}", {"n": 1e3, "lr": 0.01})
    '--steps=1000 --lr=1e-02 {}'
    """
    placeholders(text)
    filled = []
    for literal, name, form, conversion in Formatter().parse(text):
        filled.append(literal)
        if name is None:
            continue
        if name not in values:
            raise ValueError(f"{text!r}: there is no {name}")
        try:
            value = values[name]
            filled.append(format(value, form) if form else as_word(value))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{text!r}: {name} = {values[name]!r}: {error}") from None
        if conversion:
            raise ValueError(f"{text!r}: !{conversion} is not known: leave it out")
    return "".join(filled)


def as_word(value: Any) -> str:
    """A value as a word of a command: whole numbers without a point, else as JSON; texts as are.

    Examples
    --------
    >>> [as_word(v) for v in (1e6, 0.003, True, None, "a b", ["a", 1])]
    ['1000000', '0.003', 'true', 'null', 'a b', '["a", 1]']
    """
    if value is None or isinstance(value, bool | list | tuple | dict):
        return json.dumps(value)
    return str(whole(value))


def whole(value: Any) -> Any:
    """A float that is a whole number, as one; anything else as it is."""
    exact = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if exact else value
