"""The options that the name of a generated data set carries: ``teacher:features=8,noise=0.1``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def parse_options(name: str, kind: type[T], options: str) -> T:
    """A ``kind`` of these options; what is not said has its default.

    Raises
    ------
    ValueError
        For an unknown option or one that is no number.
    """
    types = {f.name: f.type for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for part in filter(None, options.split(",")):
        key, _, text = part.partition("=")
        if key not in types:
            raise ValueError(f"{name}: no option {key!r}; there are {', '.join(types)}")
        whole = types[key] == "int"
        try:
            values[key] = int(text) if whole else float(text)
        except ValueError:
            raise ValueError(
                f"{name}: {key}={text!r} is no {'whole number' if whole else 'number'}"
            ) from None
    return kind(**values)


def with_options(name: str, chosen: Any) -> str:
    """The data set's name, with what differs from the defaults."""
    options = [
        f"{f.name}={getattr(chosen, f.name)}"
        for f in fields(chosen)
        if getattr(chosen, f.name) != f.default
    ]
    return ":".join([name, ",".join(options)]) if options else name
