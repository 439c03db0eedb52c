"""MLP to RegNet against published parameters, MACs, activations and receptive fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaling.families import get_family
from scaling.families.base import with_preset
from scaling.families.vision.zoo.regnet import quantised_widths

DATA = Path(__file__).parent / "data"
# Radosavovic et al. 2020 count in this way; the EfficientNets of the table have a test elsewhere.
TABLE = {
    {"R-50-1x64d": "resnet:50", "X-101-32x4d": "resnext:101-32x4d"}.get(
        name, name.lower().replace("-", ":", 1)
    ): values
    for name, values in json.loads((DATA / "vision_complexity.json").read_text()).items()
    if not name.startswith("EN")
}
REGNETS = json.loads((DATA / "regnet_parameters.json").read_text())

# num_params as torchvision's documentation has them (0.21).
NUM_PARAMS = {
    "resnet:18": 11_689_512,
    "resnet:34": 21_797_672,
    "resnet:50": 25_557_032,
    "resnet:101": 44_549_160,
    "resnet:152": 60_192_808,
    "resnet:wide-50-2": 68_883_240,
    "resnet:wide-101-2": 126_886_696,
    "resnext:50-32x4d": 25_028_904,
    "resnext:101-32x8d": 88_791_336,
    "resnext:101-64x4d": 83_455_272,
    "vgg:11": 132_863_336,
    "vgg:13": 133_047_848,
    "vgg:16": 138_357_544,
    "vgg:19": 143_667_240,
    "vgg:11-bn": 132_868_840,
    "vgg:13-bn": 133_053_736,
    "vgg:16-bn": 138_365_992,
    "vgg:19-bn": 143_678_248,
    "regnety:400mf": 4_344_144,
    "regnety:3.2gf": 19_436_338,
    "regnety:32gf": 145_046_770,
    "regnetx:1.6gf": 9_190_136,
    "regnetx:3.2gf": 15_296_552,
    "lenet:5": 61_706,  # LeCun et al. 1998 with a full second convolution and plain pools
    "resnet:cifar-20": 272_474,  # 0.27M in He et al. 2016, table 6
    "resnet:cifar-110": 1_730_714,  # 1.7M, ibid.
}


def cost_of(model, **options):
    name, _, preset = model.partition(":")
    family = get_family(name)
    return family.cost(family.resolve({**with_preset(family, preset), **options}))


@pytest.mark.parametrize("model", TABLE)
def test_counts_of_the_published_table(model):
    cost, published = cost_of(model), TABLE[model]
    assert cost.num_params == published["num_params"]
    assert cost.macs_forward == published["macs_forward"]
    assert cost.activations == published["activations"]
    assert cost.flops_train == 6 * published["macs_forward"]


@pytest.mark.parametrize("model", NUM_PARAMS)
def test_num_params_to_the_unit(model):
    assert cost_of(model).num_params == NUM_PARAMS[model]


@pytest.mark.parametrize(
    ("depth", "millions"),
    [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")],
)
def test_resnets_of_cifar_without_projections_are_the_papers(depth, millions):
    """He et al. 2016, table 6; section 4.2: all shortcuts are the identity, padded with zeros."""
    papers, ours = (
        cost_of(f"resnet:cifar-{depth}", shortcut=shortcut) for shortcut in ("padded", "projection")
    )
    digits = len(millions) - 2
    assert f"{papers.num_params / 1e6:.{digits}f}" == millions
    # Two 1x1 convolutions with norm.
    assert ours.num_params - papers.num_params == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert ours.macs_forward - papers.macs_forward == 16 * 32 * 16**2 + 32 * 64 * 8**2


# GFLOPS of torchvision's documentation, which are MACs without biases.
@pytest.mark.parametrize(
    ("model", "giga"),
    [
        ("resnet:18", 1.81),
        ("resnet:34", 3.66),
        ("resnet:152", 11.51),
        ("resnext:101-32x8d", 16.41),
        ("vgg:11", 7.61),
        ("vgg:16", 15.47),
        ("vgg:19-bn", 19.63),
        ("regnetx:16gf", 15.94),
    ],
)
def test_macs_of_the_documentation(model, giga):
    assert cost_of(model).macs_forward / 1e9 == pytest.approx(giga, abs=0.02)


@pytest.mark.parametrize("name", REGNETS)
def test_every_regnet_is_the_published_one(name):
    family_name, label = name.lower().split("-")
    family = get_family(family_name)
    values = dict(REGNETS[name])
    group = values.pop("group_w")
    assert values.pop("se_on", False) == (family_name == "regnety")
    assert dict(family.presets[label]) == {**values, "group_width": group}
    config = family.resolve(family.presets[label])
    assert family.resolve(family.presets[label.replace(".0", "")]) == config
    assert sum(config.depths) == values["depth"]
    assert len(config.depths) == 4  # all published ones have four stages
    widths = quantised_widths(**values)
    spread = [w for w, d in zip(config.widths, config.depths, strict=True) for _ in range(d)]
    # Fitting the group width moves a width by half a group at most.
    assert all(abs(a - b) <= group / 2 for a, b in zip(widths, spread, strict=True))


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        # Araujo et al. 2019, table 1; their ResNets stride where He et al. do, or after it.
        ("resnet:50", {"stride_1x1": True}, 483),
        ("resnet:101", {"stride_1x1": True}, 1027),
        ("resnet:152", {"stride_1x1": True}, 1507),
        ("vgg:16", {}, 212),
    ],
)
def test_receptive_fields(model, options, field):
    assert cost_of(model, **options).receptive_field == field
