"""Vision families, over one tree of layers: one file each, and one line in ``VISION``."""

from __future__ import annotations

from scaling.families.vision.anynet import ANYNET, AnyNetConfig, compatible
from scaling.families.vision.convnext import CONVNEXT
from scaling.families.vision.efficientnet import EFFICIENTNET
from scaling.families.vision.encoder import ENCODER
from scaling.families.vision.family import MULTIPLIERS, bracket
from scaling.families.vision.lenet import LENET
from scaling.families.vision.mlp import MLP_FAMILY
from scaling.families.vision.regnet import REGNETX, REGNETY, RULE, quantised_widths
from scaling.families.vision.resnet import RESNET, RESNEXT
from scaling.families.vision.vgg import VGG_FAMILY
from scaling.families.vision.vit import VIT
from scaling.families.vision.wired import WIRED

VISION = (  # in this order they are listed
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
    *WIRED,
    ENCODER,
)

__all__ = [
    "MULTIPLIERS",
    "RULE",
    "VISION",
    "AnyNetConfig",
    "bracket",
    "compatible",
    "quantised_widths",
]
