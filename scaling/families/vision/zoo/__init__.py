"""The zoo: architectures for labelled examples, one family a file, and one line in ``ZOO``."""

from __future__ import annotations

from scaling.families.vision.zoo.alexnet import ALEXNET
from scaling.families.vision.zoo.anynet import ANYNET, AnyNetConfig, compatible
from scaling.families.vision.zoo.convnext import CONVNEXT
from scaling.families.vision.zoo.dense import DILATED, UNET
from scaling.families.vision.zoo.densenet import DENSENET
from scaling.families.vision.zoo.efficientnet import EFFICIENTNET
from scaling.families.vision.zoo.encoder import ENCODER
from scaling.families.vision.zoo.googlenet import GOOGLENET
from scaling.families.vision.zoo.inception_resnet import INCEPTION_RESNET
from scaling.families.vision.zoo.lenet import LENET
from scaling.families.vision.zoo.mlp import MLP_FAMILY
from scaling.families.vision.zoo.mobilenet import MOBILENET
from scaling.families.vision.zoo.nfnet import NFNET
from scaling.families.vision.zoo.nin import NIN
from scaling.families.vision.zoo.regnet import REGNETX, REGNETY, RULE, quantised_widths
from scaling.families.vision.zoo.resnet import RESNET, RESNEXT, SENET, WRN
from scaling.families.vision.zoo.swin import SWIN
from scaling.families.vision.zoo.vgg import VGG_FAMILY
from scaling.families.vision.zoo.vit import VIT

ZOO = (  # in this order they are listed
    MLP_FAMILY,
    LENET,
    ALEXNET,
    NIN,
    VGG_FAMILY,
    GOOGLENET,
    RESNET,
    RESNEXT,
    SENET,
    WRN,
    DENSENET,
    INCEPTION_RESNET,
    ANYNET,
    REGNETX,
    REGNETY,
    NFNET,
    MOBILENET,
    EFFICIENTNET,
    CONVNEXT,
    VIT,
    SWIN,
    DILATED,
    UNET,
    ENCODER,
)

__all__ = ["RULE", "ZOO", "AnyNetConfig", "compatible", "quantised_widths"]
