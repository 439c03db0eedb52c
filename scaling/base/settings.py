"""Settings given on a command line."""

from __future__ import annotations

from typing import Any


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; values are read as YAML scalars.

    Raises
    ------
    ValueError
        If an item has no ``=``, or its value is no YAML.
    """
    import yaml

    parsed = {}
    for item in settings:
        key, found, value = item.partition("=")
        if not found or not key:
            raise ValueError(f"--set {item!r} is not KEY=VALUE")
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise ValueError(
                f"--set {item!r}: the value is not YAML: close its brackets and quotes"
            ) from None
    return parsed
