"""The registry of model families; those for images are listed in ``vision``."""

from __future__ import annotations

from scaling.base import refuse_unknown
from scaling.families.base import (
    Family,
    ModelConfig,
    cached_cost,
    check_options,
    option_names,
    refuse_both,
    with_preset,
)
from scaling.families.transformer import TRANSFORMER
from scaling.families.vision import VISION

FAMILIES: dict[str, Family] = {family.name: family for family in (TRANSFORMER, *VISION)}


def get_family(name: str) -> Family:
    """The family called ``name``.

    Raises
    ------
    ValueError
        If there is none; the message has the names and the nearest one.
    """
    if name not in FAMILIES:
        refuse_unknown(name, FAMILIES, "family")
    return FAMILIES[name]


__all__ = [
    "FAMILIES",
    "TRANSFORMER",
    "Family",
    "ModelConfig",
    "cached_cost",
    "check_options",
    "get_family",
    "option_names",
    "refuse_both",
    "with_preset",
]
