"""Vision families: one file each, over one tree of layers."""

from __future__ import annotations

from scaling.families.vision.anynet import ANYNET, AnyNetConfig, compatible
from scaling.families.vision.convnext import CONVNEXT
from scaling.families.vision.efficientnet import EFFICIENTNET
from scaling.families.vision.family import MULTIPLIERS, bracket
from scaling.families.vision.lenet import LENET
from scaling.families.vision.mlp import MLP_FAMILY
from scaling.families.vision.regnet import REGNETX, REGNETY, RULE, quantised_widths
from scaling.families.vision.resnet import RESNET, RESNEXT
from scaling.families.vision.vgg import VGG_FAMILY
from scaling.families.vision.vit import VIT

__all__ = [
    "ANYNET",
    "CONVNEXT",
    "EFFICIENTNET",
    "LENET",
    "MLP_FAMILY",
    "MULTIPLIERS",
    "REGNETX",
    "REGNETY",
    "RESNET",
    "RESNEXT",
    "RULE",
    "VGG_FAMILY",
    "VIT",
    "AnyNetConfig",
    "bracket",
    "compatible",
    "quantised_widths",
]
