"""Data sets of a user's own: a function at an import path, or one that a package offers by name.

``module:function`` is called without arguments, ``module:function:TEXT`` with the text. What it
returns has an ``info`` and what the run's task asks of it: a :class:`TokenData` or an
:class:`ExampleData` for ours.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from scaling.base import load, path_of, plugged
from scaling.data.info import DataInfo


def own_data(name: str) -> tuple[str, str]:
    """The import path that a data set's name means, and its text; both empty for one of ours."""
    first, _, rest = name.partition(":")
    if first in plugged("data set"):
        return path_of("data set", first), rest
    head, _, text = rest.partition(":")
    path = path_of("data set", f"{first}:{head}")
    return (path, text) if path else ("", "")


@cache
def open_own(name: str) -> Any:
    """The data set that the function returns, called ``name``; made once a process.

    Raises
    ------
    ValueError
        If the function fails, or returns no data set with a fingerprint.
    """
    path, text = own_data(name)
    try:
        data = load(path)(*([text] if text else []))
    except TypeError as error:
        raise ValueError(f"data {name}: {error}") from None
    info = getattr(data, "info", None)
    if not isinstance(info, DataInfo) or not info.fingerprint:
        raise ValueError(
            f"data {name}: {path} returned {type(data).__name__} without an info (DataInfo) that "
            "has a fingerprint of its content"
        )
    if info.name == name:
        return data
    try:
        return replace(data, info=replace(info, name=name))
    except TypeError:  # no dataclass: it says its name itself
        raise ValueError(f"data {name}: its info is called {info.name!r}, not {name!r}") from None
