"""The registry of model families: one file and one line here for each."""

from __future__ import annotations

from scaling.families.anynet import ANYNET
from scaling.families.base import Family
from scaling.families.convnext import CONVNEXT
from scaling.families.efficientnet import EFFICIENTNET
from scaling.families.lenet import LENET
from scaling.families.mlp import MLP_FAMILY
from scaling.families.regnet import REGNETX, REGNETY
from scaling.families.resnet import RESNET, RESNEXT
from scaling.families.transformer import TRANSFORMER
from scaling.families.vgg import VGG_FAMILY
from scaling.families.vit import VIT

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
    from scaling.names import refuse_unknown

    if name not in FAMILIES:
        refuse_unknown(name, FAMILIES, "family")
    return FAMILIES[name]


__all__ = ["FAMILIES", "Family", "get_family"]
