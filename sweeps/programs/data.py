"""The data of a program's runs: one of our data sets, or what the user declares of others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scaling.data import describe_data
from sweeps.document import Document, PlacedError, Where, called, kind

AT: Where = ("data",)


def check_data(document: Document, value: Any) -> None:
    """Refuse ``data`` that is neither a name nor a declaration.

    Raises
    ------
    ValueError
        With the line and the remedy.
    """
    if not isinstance(value, str | Mapping):
        document.refuse(
            AT, f"data must be the name of a data set, or a mapping that declares what the "
            f"program reads, as {{name: c4, version: TEXT}}, not {kind(value)}",
        )  # fmt: skip
    if isinstance(value, Mapping):
        if not value:
            document.refuse(AT, "data is an empty mapping: declare what it is, or leave it out")
        check_plain(document, value, AT)


def check_plain(document: Document, value: Any, where: Where) -> None:
    """Refuse what JSON does not hold, such as a date or infinity.

    Raises
    ------
    ValueError
        With the line and the remedy.
    """
    if isinstance(value, Mapping):
        for key, inner in document.mapping(value, where).items():
            check_plain(document, inner, (*where, key))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            check_plain(document, inner, (*where, i))
    elif isinstance(value, float) and not math.isfinite(value):
        document.refuse(where, f"{called(where)} {value} is not finite")
    elif value is not None and not isinstance(value, str | int | float):
        document.refuse(where, f"{value} is {kind(value)}: quote it, to make it a text")


def as_number(value: Any) -> Any:
    """A text that is a number as one; anything else as it is."""
    if not isinstance(value, str):
        return value
    for kind_of in (int, float):
        try:
            return kind_of(value)
        except ValueError:
            continue
    return value


class DataSets:
    """What is known of the data sets of ours that runs ask for."""

    def __init__(self, given: Any = None) -> None:
        self.given = given
        self.known: dict[str, Any] = {}

    def info(self, name: str) -> Any:
        """What is known of one.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if self.given is not None:
            return self.given
        if name not in self.known:
            try:
                self.known[name] = describe_data(name)
            except FileNotFoundError as error:
                raise PlacedError(
                    f"{error}; data that are not ours are declared: data: {{name: {name}, "
                    "version: TEXT}",
                    AT,
                ) from None
        return self.known[name]

    def only(self) -> Any:
        """What is known of the data if there is one set of ours; else None."""
        return next(iter(self.known.values())) if len(self.known) == 1 else None
