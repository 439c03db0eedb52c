"""The zoo's parameters to the unit and MACs against published numbers and those of libraries."""

from __future__ import annotations

import time

import pytest
import torch

from scaling.families import get_family
from scaling.families.base import with_preset
from scaling.families.vision.counts import Tally, walk
from scaling.families.vision.layers_module import Activation, GlobalMean

# num_params and MACs without biases of a forward pass. T: torchvision 0.29, whose documentation has
# these parameters and these MACs to three digits; M: timm 1.0.31; P: pytorchcv 0.0.74; all counted
# in the library's own model by torch's FlopCounterMode. Papers' numbers are of parameters.
LIBRARIES = {
    "alexnet": (61_100_840, 714_188_480),  # T
    "googlenet": (6_624_904, 1_498_376_192),  # T
    "inception-resnet:v2": (55_843_464, 13_155_794_016),  # M: inception_resnet_v2
    "densenet:121": (7_978_856, 2_834_161_664),  # T
    "densenet:161": (28_681_000, 7_727_907_072),  # T
    "densenet:169": (14_149_480, 3_359_843_328),  # T
    "densenet:201": (20_013_928, 4_291_365_888),  # T
    "wrn:50-2": (68_883_240, 11_398_021_120),  # T
    "wrn:101-2": (126_886_696, 22_753_050_624),  # T
    "senet:18": (11_778_592, 1_814_160_384),  # M: legacy_seresnet18
    "senet:34": (21_958_868, 3_663_918_592),  # M: legacy_seresnet34
    "senet:50": (28_088_024, 4_091_699_200),  # M: seresnet50
    "senet:101": (49_326_872, 7_806_148_608),  # M: seresnet101
    "senet:152": (66_821_848, 11_520_204_800),  # M: seresnet152
    "senet:50-32x4d": (27_559_896, 4_232_994_816),  # M: seresnext50_32x4d
    "senet:101-32x4d": (48_955_416, 7_974_739_968),  # M: seresnext101_32x4d
    "mobilenet:v2": (3_504_872, 300_774_272),  # T
    "mobilenet:v3-large": (5_483_032, 216_589_760),  # T
    "mobilenet:v3-small": (2_542_856, 56_510_400),  # T
    "swin:tiny": (28_288_354, 4_490_566_656),  # T
    "swin:small": (49_606_258, 8_740_875_264),  # T
    "swin:base": (87_768_224, 15_430_946_816),  # T
    "nfnet:f0": (71_489_284, 6_977_003_520),  # M: dm_nfnet_f0 at 192 pixels
    "nfnet:f1": (132_634_256, 17_437_921_280),  # M: at 224
    "nfnet:f2": (193_779_228, 33_139_318_784),  # M: at 256
    "nfnet:f3": (254_924_200, 67_944_292_352),  # M: at 320
    "nfnet:f4": (316_069_172, 121_122_250_752),  # M: at 384
    "nfnet:f5": (377_214_144, 169_498_382_336),  # M: at 416
    "nfnet:f6": (438_359_116, 228_292_861_952),  # M: at 448
    # P: get_wrn_cifar; Zagoruyko and Komodakis 2016, tables 4 and 5.
    "wrn:16-4": (2_748_890, 392_612_352),  # 2.7M
    "wrn:16-8": (10_961_370, 1_548_145_664),  # 11.0M
    "wrn:22-8": (17_158_106, 2_454_115_328),  # 17.2M
    "wrn:28-10": (36_479_194, 5_243_328_768),  # 36.5M; the authors' code
    "wrn:28-12": (52_517_850, 7_543_905_792),  # 52.5M
    "wrn:40-1": (563_930, 83_280_512),  # 0.6M
    "wrn:40-4": (8_949_210, 1_298_582_016),  # 8.9M
    # P: units and transitions of its CIFAR models, with all channels kept; Huang et al. 2017, table
    # 2; test_zoo_caffe.py has the authors' Caffe code.
    "densenet:40-12": (1_019_722, 264_812_928),  # 1.0M
    "densenet:100-12": (6_979_642, 1_769_516_448),  # 7.0M
    "densenet:100-24": (27_249_082, 6_889_347_744),  # 27.2M
    "nin:cifar": (966_986, 222_486_528),  # P; "< 1M" in Lin et al. 2014
}
# Table 1 of Brock et al. 2021: 10^9 FLOPs (that is MACs), millions of parameters, test resolution.
NFNETS = {
    "f0": (12.38, 71.5, 256),
    "f1": (35.54, 132.6, 320),
    "f2": (62.59, 193.8, 352),
    "f3": (114.76, 254.9, 416),
    "f4": (215.24, 316.1, 512),
    "f5": (289.76, 377.2, 544),
    "f6": (377.28, 438.4, 576),
}
PARAMETERS = {
    "densenet:bc-100-12": 769_162,  # 0.8M in Huang et al. 2017, table 2
    "densenet:bc-250-24": 15_324_406,  # 15.3M, ibid.
    "densenet:bc-190-40": 25_624_430,  # 25.6M
    "alexnet:2012": 60_965_224,  # bvlc_alexnet of Caffe
}

# Options, parameters and millions of "FLOPs / 2" in osmr/imgclsmob's table (README of its PyTorch
# models, CIFAR-10); how it counts is in its gluon/model_stats.py.
IMGCLSMOB = {
    "nin:cifar": ({}, 966_986, 222.97),
    "wrn:16-8": ({"widths": [160, 320, 640]}, 17_116_634, 2414.04),  # WRN-16-10
    "wrn:28-10": ({}, 36_479_194, 5246.98),
    "wrn:40-4": ({"widths": [128, 256, 512]}, 35_748_314, 5176.90),  # WRN-40-8
    "densenet:40-12": ({"compression": 0.5, "stem_width": 24}, 599_050, 210.80),
    "densenet:100-12": ({"compression": 0.5, "stem_width": 24}, 4_068_490, 1353.55),
    "densenet:100-24": ({"compression": 0.5, "stem_width": 48}, 16_114_138, 5354.19),
    "densenet:bc-100-12": ({}, 769_162, 298.45),
    "densenet:bc-190-40": ({}, 25_624_430, 9400.45),
    "densenet:bc-250-24": ({}, 15_324_406, 5519.54),
}


def configured(model: str, **options):
    """The family, and its configuration."""
    name, _, preset = model.partition(":")
    family = get_family(name)
    return family, family.resolve({**(with_preset(family, preset) if preset else {}), **options})


def counted(model: str, **options):
    """Cost, and MACs without biases."""
    family, config = configured(model, **options)
    network = family.network(config)
    tally = Tally(network.input_shape, side=network.input_shape[-1])
    walk((*network.stem, *network.body, *network.head), tally)
    cost = family.cost(config)
    assert cost.macs_forward == tally.macs
    return cost, tally.macs - tally.biases


@pytest.mark.parametrize("model", LIBRARIES)
def test_parameters_and_macs_are_the_librarys(model):
    began = time.process_time()
    cost, macs = counted(model)
    assert time.process_time() - began < 0.5
    assert (cost.num_params, macs) == LIBRARIES[model]


@pytest.mark.parametrize("model", PARAMETERS)
def test_parameters_are_the_published_ones(model):
    assert counted(model)[0].num_params == PARAMETERS[model]


@pytest.mark.parametrize("model", IMGCLSMOB)
def test_macs_of_networks_for_cifar_are_published_to_ten_thousand(model):
    """There half of: 2 a product, less 1 for each kernel of a convolution without bias; 4 an output
    of a norm; 1 one of a ReLU; 1 a pixel of a pooling's window."""
    options, num_params, millions = IMGCLSMOB[model]
    cost, macs = counted(model, **options)
    family, config = configured(model, **options)
    others = 0

    def add(module, seen, out):
        nonlocal others
        if isinstance(module, torch.nn.Conv2d):
            others -= module.weight[..., 0, 0].numel() if module.bias is None else 0
        elif isinstance(module, torch.nn.BatchNorm2d):
            others += 4 * out.numel()
        elif isinstance(module, Activation):
            others += out.numel()
        elif isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d):
            others += out.numel() * module.kernel_size**2
        elif isinstance(module, GlobalMean):
            others += seen[0].numel()

    with torch.device("meta"), torch.no_grad():
        network = family.build(config).eval()
        for module in network.modules():
            module.register_forward_hook(add)
        network(torch.zeros(1, *config.input_shape))
    assert cost.num_params == num_params
    assert round((macs + others / 2) / 1e6, 2) == millions


def test_caffes_alexnet():
    # 724 MFLOPS, products alone, of caffenet in albanie/convnet-burden.
    assert round(counted("alexnet:2012")[1] / 1e6) == 724


def test_the_authors_se_resnet_strides_in_its_first_convolution():
    # 3.87 GFLOPs in Hu et al. 2018, table 2; timm's legacy_seresnet50.
    assert counted("senet:50", stride_1x1=True)[1] == 3_860_488_192


def test_googlenets_classifiers_on_the_side():
    # T: in training; the loss's parts have their products too.
    cost, macs = counted("googlenet", auxiliary=0.3)
    assert (cost.num_params, macs) == (13_004_888, 1_506_748_416)


@pytest.mark.parametrize("model", NFNETS)
def test_nfnets_at_their_test_resolution(model):
    giga, millions, resolution = NFNETS[model]
    cost, macs = counted(f"nfnet:{model}", resolution=resolution)
    assert cost.num_params / 1e6 == pytest.approx(millions, abs=0.05)
    assert macs / 1e9 == pytest.approx(giga, rel=0.005)


def test_swins_cost_is_linear_in_the_area_and_a_vits_is_not():
    def of_blocks(name, factor):
        return counted(name, resolution=224 * factor)[1] - classes[name]

    classes = {"swin:tiny": 768 * 1000, "vit:ti16": 192 * 1000}
    assert of_blocks("swin:tiny", 2) == 4 * of_blocks("swin:tiny", 1)
    assert of_blocks("swin:tiny", 4) == 16 * of_blocks("swin:tiny", 1)
    assert of_blocks("vit:ti16", 4) > 20 * of_blocks("vit:ti16", 1)


def test_u_nets():
    # milesial/Pytorch-UNet, and the brain segmentation U-Net of mateuszbuda in PyTorch Hub: three
    # channels in, one class. MACs at 256 pixels: nnU-Net's parts, in test_zoo_libraries.py.
    for width, num_params, macs in (
        (64, 31_037_633, 48_167_387_136),
        (32, 7_763_041, 12_071_206_912),
    ):
        options = {"in_channels": 3, "num_classes": 1, "width": width, "resolution": 256}
        cost, found = counted("unet", **options)
        assert (cost.num_params, found) == (num_params, macs)
