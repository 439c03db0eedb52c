"""The registry of model families: one file and one line here for each."""

from __future__ import annotations

from scaling.families.base import Family
from scaling.families.transformer import TRANSFORMER

FAMILIES: dict[str, Family] = {family.name: family for family in (TRANSFORMER,)}


def get_family(name: str) -> Family:
    """The family called ``name``.

    Raises
    ------
    ValueError
        If there is none; the message has the names and the nearest one.
    """
    from scaling.names import refuse_unknown

    if name not in FAMILIES:
        refuse_unknown(name, FAMILIES, "family")
    return FAMILIES[name]


__all__ = ["FAMILIES", "Family", "get_family"]
