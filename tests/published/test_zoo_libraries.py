"""The zoo against torchvision, timm, pytorchcv and nnU-Net themselves, where they are installed.

``pip install 'scaling-lab[zoo]'``, with the torchvision for the torch that is there, and ``pip
install --no-deps dynamic-network-architectures``.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.families import get_family
from scaling.families.base import with_preset
from tests.published.test_zoo_counts import counted

REGNETS = {"200mf": "002", "400mf": "004", "600mf": "006", "800mf": "008", "1.6gf": "016", "3.2gf":
           "032", "4.0gf": "040", "6.4gf": "064", "8.0gf": "080", "12gf": "120", "16gf": "160",
           "32gf": "320"}  # fmt: skip
TORCHVISION = {
    "alexnet": "alexnet",
    **{f"vgg:{n}": f"vgg{n}" for n in (11, 13, 16, 19)},
    **{f"vgg:{n}-bn": f"vgg{n}_bn" for n in (11, 13, 16, 19)},
    "googlenet": "googlenet",
    **{f"resnet:{n}": f"resnet{n}" for n in (18, 34, 50, 101, 152)},
    **{f"resnet:wide-{n}-2": f"wide_resnet{n}_2" for n in (50, 101)},
    **{f"wrn:{n}-2": f"wide_resnet{n}_2" for n in (50, 101)},
    "resnext:50-32x4d": "resnext50_32x4d",
    "resnext:101-32x8d": "resnext101_32x8d",
    "resnext:101-64x4d": "resnext101_64x4d",
    **{f"densenet:{n}": f"densenet{n}" for n in (121, 161, 169, 201)},
    "mobilenet:v2": "mobilenet_v2",
    "mobilenet:v3-large": "mobilenet_v3_large",
    "mobilenet:v3-small": "mobilenet_v3_small",
    **{f"efficientnet:b{n}": f"efficientnet_b{n}" for n in range(8)},
    **{f"convnext:{n}": f"convnext_{n}" for n in ("tiny", "small", "base", "large")},
    **{f"vit:{n[0]}{n[2:]}": f"vit_{n}" for n in ("b_16", "b_32", "l_16", "l_32", "h_14")},
    **{f"swin:{n}": f"swin_{n[0]}" for n in ("tiny", "small", "base")},
}
TIMM = {
    "inception-resnet": "inception_resnet_v2",
    "resnext:101-32x4d": "resnext101_32x4d",
    **{f"senet:{n}": f"legacy_seresnet{n}" for n in (18, 34)},
    **{f"senet:{n}": f"seresnet{n}" for n in (50, 101, 152)},
    **{f"senet:{n}-32x4d": f"seresnext{n}_32x4d" for n in (50, 101)},
    **{f"regnet{kind}:{n}": f"regnet{kind}_{size}" for kind in "xy" for n, size in REGNETS.items()},
    **{f"nfnet:f{n}": f"dm_nfnet_f{n}" for n in range(7)},
    "convnext:xlarge": "convnext_xlarge",
    "vit:ti16": "vit_tiny_patch16_224",
    "vit:s16": "vit_small_patch16_224",
    "vit:s32": "vit_small_patch32_224",
    "vit:b8": "vit_base_patch8_224",
    "vit:l14": "vit_large_patch14_224",
    "vit:g14": "vit_giant_patch14_224",
    "vit:gigantic14": "vit_gigantic_patch14_224",
}


# Presets that no function of theirs makes, of their own classes.
ENCODERS = {"vit:h16": (16, 32, 1280, 5120), "vit:so150m14": (14, 18, 880, 2320),
            "vit:so400m14": (14, 27, 1152, 4304)}  # fmt: skip
CIFAR = {f"resnet:cifar-{6 * n + 2}": n for n in (3, 5, 7, 9, 18)}
CLASSES = ("resnext:152-32x4d", *ENCODERS, *CIFAR)
WRNS = {f"wrn:{n}-{w}": (n, w) for n, w in ((16, 4), (16, 8), (22, 8), (28, 10), (28, 12), (40, 1),
        (40, 4))}  # fmt: skip
DENSENETS = {f"densenet:{n}-{k}": (n, k) for n, k in ((40, 12), (100, 12), (100, 24))}
PYTORCHCV = ("nin:cifar", *WRNS, *DENSENETS)


def of_pytorchcv(model: str):
    pytest.importorskip("pytorchcv")
    from pytorchcv.models.common.conv import conv3x3
    from pytorchcv.models.densenet import TransitionBlock
    from pytorchcv.models.densenet_cifar import DenseSimpleUnit
    from pytorchcv.models.nin_cifar import nin_cifar10
    from pytorchcv.models.preresnet import PreResActivation
    from pytorchcv.models.wrn_cifar import get_wrn_cifar

    if model == "nin:cifar":
        return nin_cifar10()
    if model in WRNS:
        blocks, width = WRNS[model]
        return get_wrn_cifar(num_classes=10, blocks=blocks, width_factor=width)
    # Its own DenseNets halve the channels after each block; these parts keep them.
    (depth, growth), channels = DENSENETS[model], 16
    parts = [conv3x3(3, channels)]
    for block in range(3):
        parts += [TransitionBlock(channels, channels)] if block else []
        for _ in range((depth - 4) // 3):
            parts.append(DenseSimpleUnit(channels, channels + growth, 0.0))
            channels += growth
    end = (torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(channels, 10))
    return torch.nn.Sequential(*parts, PreResActivation(channels), *end)


def of_classes(model: str):
    if model in ENCODERS:
        patch, depth, width, mlp_width = ENCODERS[model]
        made = pytest.importorskip("timm.models.vision_transformer").VisionTransformer
        mean = {"class_token": False, "global_pool": "avg", "fc_norm": False}
        return made(
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=16,
            mlp_ratio=mlp_width / width,
            **(mean if "so" in model else {}),
        )
    parts = pytest.importorskip("torchvision.models.resnet")
    if model not in CIFAR:
        return parts.ResNet(parts.Bottleneck, [3, 8, 36, 3], groups=32, width_per_group=4)
    # He et al. 2016, section 4.2: a 3x3 convolution, three stages of n blocks, a matrix.
    network = parts.ResNet(parts.BasicBlock, [1] * 4)  # for its way to make stages
    network.inplanes = 16
    stages = [network._make_layer(parts.BasicBlock, 16, CIFAR[model])]
    stages += [network._make_layer(parts.BasicBlock, w, CIFAR[model], 2) for w in (32, 64)]
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(16),
        *stages,
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )


def config_of(model: str):
    name, _, preset = model.partition(":")
    family = get_family(name)
    return family, family.resolve(with_preset(family, preset) if preset else {})


def ours(model: str):
    family, config = config_of(model)
    return family.build(config)


def theirs(model: str):
    if model in CLASSES:
        return of_classes(model)
    if model in PYTORCHCV:
        return of_pytorchcv(model)
    if model in TIMM:
        return pytest.importorskip("timm").create_model(TIMM[model])
    library = pytest.importorskip("torchvision")
    options = {"aux_logits": False, "init_weights": False} if model == "googlenet" else {}
    return getattr(library.models, TORCHVISION[model])(weights=None, **options)


def shape(weight):
    """Its sizes but 1: a 1x1 convolution may be a matrix, a slope a vector."""
    return tuple(size for size in weight.shape if size > 1)


@pytest.mark.parametrize(
    "model",
    [
        "alexnet",
        "googlenet",
        "inception-resnet",
        "densenet:121",
        "wrn:50-2",
        "mobilenet:v2",
        "mobilenet:v3-large",
        "mobilenet:v3-small",
        "swin:tiny",
        "vgg:11-bn",
        "resnet:18",
        "senet:50",
        "nfnet:f0",
    ],
)
def test_weights_have_the_librarys_shapes(model):
    with torch.device("meta"):
        library, own = theirs(model), ours(model)
    of_library = Counter(shape(weight) for weight in library.parameters())
    assert Counter(shape(weight) for weight in own.parameters()) == of_library


@pytest.mark.parametrize("model", [*TORCHVISION, *TIMM, *CLASSES, *PYTORCHCV])
def test_parameters_and_macs_are_the_librarys(model):
    """Those that torch counts while the library's own model runs; biases are none of them."""
    with torch.device("meta"):
        library = theirs(model).eval()
        x = torch.zeros(1, *config_of(model)[1].input_shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        library(x)
    cost, macs = counted(model)
    num_params = sum(weight.numel() for weight in library.parameters())
    assert (cost.num_params, 2 * macs) == (num_params, counter.get_total_flops())


@pytest.mark.parametrize("width", [64, 32])
def test_a_u_net_has_the_parameters_and_macs_of_nn_u_nets_parts(width):
    """Without biases in transposed convolutions, with unused classifiers at coarse scales."""
    parts = pytest.importorskip("dynamic_network_architectures.building_blocks.plain_conv_encoder")
    from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder

    widths = [width * 2**i for i in range(5)]
    with torch.device("meta"):
        encoder = parts.PlainConvEncoder(
            3,
            5,
            widths,
            torch.nn.Conv2d,
            3,
            [1, 2, 2, 2, 2],
            2,
            norm_op=torch.nn.BatchNorm2d,
            nonlin=torch.nn.ReLU,
            return_skips=True,
            pool="max",
        )
        decoder = UNetDecoder(encoder, 1, 2, False)
        x = torch.zeros(1, 3, 256, 256)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        decoder(encoder(x))
    options = {"in_channels": 3, "num_classes": 1, "width": width, "resolution": 256}
    cost, macs = counted("unet", **options)
    unused = sum(width + 1 for width in widths[1:4])
    num_params = sum(weight.numel() for weight in decoder.parameters()) - unused
    assert (cost.num_params, 2 * macs) == (
        num_params + sum(widths[:4]),
        counter.get_total_flops(),
    )


@pytest.mark.parametrize(
    "model",
    [
        "alexnet",
        "googlenet",
        "inception-resnet",
        "densenet:121",
        "wrn:50-2",
        "mobilenet:v2",
        "mobilenet:v3-small",
        "swin:tiny",
        "senet:50",
    ],
)
def test_with_the_librarys_weights_the_outputs_are_the_librarys(model):
    torch.manual_seed(0)
    library, own = theirs(model).eval(), ours(model).eval()
    given = list(library.parameters())
    for weight in own.parameters():  # in their order, but for a norm that it builds after its conv
        i = next(i for i, one in enumerate(given) if shape(one) == shape(weight))
        weight.data.copy_(given.pop(i).view(weight.shape))
    x = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        a, b = own(x), library(x)
    assert (a - b).abs().max() < 1e-4 * b.abs().max()
