"""EfficientNet: compound scaling, small inputs, exact counts of the built module, training."""

from __future__ import annotations

import json
import math

import pytest

from scaling.families import get_family
from scaling.families.vision.layers import Residual
from scaling.run.journal import points, read_journal
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.built import assert_counted_exactly

FAMILY = get_family("efficientnet")
SMALL = {"resolution": 28, "num_classes": 10, "in_channels": 1}
NARROW = {**SMALL, "depths": [1, 2, 1], "widths": [8, 12, 20]}


@pytest.mark.parametrize(
    "options",
    [SMALL, NARROW, {**NARROW, "se_ratio": 0, "expansions": [4, 4, 2]}],
)
def test_counts_equal_torchs_of_the_built_module(options):
    assert_counted_exactly(FAMILY, options)


def test_phi_0_is_b0_and_doubles_the_flops_with_each_step():
    assert FAMILY.resolve({"phi": 0}) == FAMILY.resolve(FAMILY.presets["b0"]) == FAMILY.resolve({})
    macs = [FAMILY.cost(FAMILY.resolve({"phi": phi})).macs_forward for phi in range(8)]
    # Tan and Le 2019, section 3.3: alpha beta^2 gamma^2 is about 2; rounding depth up adds.
    growth = (macs[-1] / macs[0]) ** (1 / 7)
    assert growth == pytest.approx(1.2 * 1.1**2 * 1.15**2, rel=0.05)


def test_phi_equals_the_three_multipliers():
    phi = 2.5
    multipliers = {
        "depth_multiplier": 1.2**phi,
        "width_multiplier": 1.1**phi,
        "resolution_multiplier": 1.15**phi,
    }
    assert FAMILY.resolve({"phi": phi}) == FAMILY.resolve(multipliers)
    assert FAMILY.resolve({**SMALL, "phi": phi}) == FAMILY.resolve({**SMALL, **multipliers})


@pytest.mark.parametrize("preset", ["b1", "b2", "b5", "b7"])
def test_published_presets_are_b0_times_their_coefficients(preset):
    # (width, depth) of the authors' efficientnet_params; B2's resolution there is 260 = 1.16 x 224.
    width, depth = {"b1": (1, 1.1), "b2": (1.1, 1.2), "b5": (1.6, 2.2), "b7": (2, 3.1)}[preset]
    published = FAMILY.resolve(FAMILY.presets[preset])
    same = {"resolution": published.resolution, "dropout": published.dropout}
    found = FAMILY.resolve({**same, "width_multiplier": width, "depth_multiplier": depth})
    assert found == published


@pytest.mark.parametrize(
    ("resolution", "strides"),
    [
        (8, (1, 1, 1, 1, 1, 2, 1)),
        (28, (1, 1, 2, 2, 1, 2, 1)),
        (32, (1, 1, 2, 2, 1, 2, 1)),
        (63, (1, 2, 2, 2, 1, 2, 1)),
        (64, (1, 2, 2, 2, 1, 2, 1)),
    ],
)
def test_strides_of_small_inputs(resolution, strides):
    config = FAMILY.resolve({"resolution": resolution})
    assert config.strides == strides
    assert config.stem == ("small" if resolution < 64 else "imagenet")
    given = FAMILY.resolve({"resolution": resolution, "strides": [1, 1, 2, 1, 1, 1, 1]})
    assert given.strides == (1, 1, 2, 1, 1, 1, 1)


def test_stochastic_depth_rises_linearly_over_all_blocks():
    config = FAMILY.resolve({"drop_path": 0.32})  # B0 has 16 blocks, 7 of them change shape
    drops = [layer.drop for layer in FAMILY.network(config).body if isinstance(layer, Residual)]
    blocks = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # the second and later ones of each stage
    assert drops == pytest.approx([0.02 * i for i in blocks])


def test_squeeze_excitation_is_a_quarter_of_the_blocks_input():
    with_se = FAMILY.cost(FAMILY.resolve({})).num_params
    without = FAMILY.cost(FAMILY.resolve({"se_ratio": 0})).num_params
    # (input, depthwise width) of each block of B0, from the paper's table 1.
    stages = [(32, 1, 16, 1), (16, 6, 24, 2), (24, 6, 40, 2), (40, 6, 80, 3)]
    stages += [(80, 6, 112, 3), (112, 6, 192, 4), (192, 6, 320, 1)]
    expected = 0
    for before, expansion, width, depth in stages:
        for _ in range(depth):
            hidden, wide = before // 4, before * expansion
            expected += 2 * hidden * wide + hidden + wide
            before = width
    assert with_se - without == expected


@pytest.mark.parametrize("base", [SMALL, NARROW])
@pytest.mark.parametrize("target", [2e5, 2e6])
def test_a_target_is_met_as_the_grid_of_widths_allows(target, base):
    found = FAMILY.cost(FAMILY.resolve({**base, "num_params": target})).num_params
    assert found == pytest.approx(target, rel=0.15)


def test_a_flops_target_is_met():
    config = FAMILY.resolve({**NARROW, "flops_forward": 5e6})
    assert FAMILY.cost(config).flops_forward == pytest.approx(5e6, rel=0.2)


def test_a_configuration_survives_json():
    config = FAMILY.resolve({"phi": 1, **NARROW})
    assert FAMILY.resolve(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": [1, 1]}, "depths 2, widths 7"),
        ({**NARROW, "strides": [1, 2]}, "strides 2"),
        ({"depths": [1, 0], "widths": [8, 8]}, r"not within \[1"),
        ({"depths": 3, "widths": [8]}, "not a list"),
        ({"kernels": [3, 2, 5, 3, 5, 5, 3]}, "an even kernel .*: take odd kernels"),
        ({"stem": "medium"}, "imagenet, small"),
        ({"resolution": 8, "stem": "imagenet"}, "resolution 8 is too small"),
        ({"drop_path": 1}, r"drop_path 1.* not in \[0, 1\)"),
        ({"se_ratio": -1}, "se_ratio"),
        ({"phi": "big"}, "phi 'big' is not a number"),
        ({"phi": 1e9}, "phi 1e\\+09 is not in"),
        ({"widths": []}, "widths is empty"),
        ({"num_params": 10}, "out of reach"),
        ({"num_params": 1e6, "flops_forward": 1e6}, "give one"),
        ({"widht_multiplier": 2}, "width_multiplier"),
    ],
)
def test_bad_options_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        FAMILY.resolve(options)


def test_it_learns(tmp_path):
    model = {"depths": [1, 1], "widths": [8, 16], "dropout": 0}
    spec = RunSpec.resolve(
        family="efficientnet", data="digits", num_examples=64 * 60, batch_size=64, lr=3e-3, **model
    )
    outcome = train(spec, tmp_path)
    assert points(read_journal(tmp_path))[0]["loss"] == pytest.approx(math.log(10), abs=0.3)
    assert outcome.loss < 1.8
