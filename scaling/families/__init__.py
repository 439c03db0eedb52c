"""The registry of model families: one file and one line here for each."""

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
from scaling.families.vision import (
    ANYNET,
    CONVNEXT,
    EFFICIENTNET,
    LENET,
    MLP_FAMILY,
    REGNETX,
    REGNETY,
    RESNET,
    RESNEXT,
    VGG_FAMILY,
    VIT,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        TRANSFORMER,
        MLP_FAMILY,
        LENET,
        VGG_FAMILY,
        RESNET,
        RESNEXT,
        ANYNET,
        REGNETX,
        REGNETY,
        EFFICIENTNET,
        CONVNEXT,
        VIT,
    )
}


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
