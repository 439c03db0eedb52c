"""Settings given on a command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def parse_settings(
    words: Iterable[str], *, refused: str = "--set {!r} is not KEY=VALUE", text: bool = False
) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; values are read as YAML scalars.

    Parameters
    ----------
    words : iterable of str
    refused : str
        What is said of a word without a key and ``=``.
    text : bool
        Whether a value that is no YAML is taken as it stands, such as a shell line.

    Raises
    ------
    ValueError
        If a word is no pair, or its value is no YAML.
    """
    import yaml

    parsed = {}
    for word in words:
        key, found, value = word.partition("=")
        if not found or not key:
            raise ValueError(refused.format(word))
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            if not text:
                raise ValueError(
                    f"--set {word!r}: the value is not YAML: close its brackets and quotes"
                ) from None
            parsed[key.strip()] = value
    return parsed
