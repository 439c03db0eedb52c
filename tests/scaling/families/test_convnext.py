"""ConvNeXt: exact counts of the built module, its stem and dials, training."""

from __future__ import annotations

import json
import math

import pytest
import torch

from scaling.families import get_family
from scaling.families.vision.layers import Residual
from scaling.run.journal import points, read_journal
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.built import assert_counted_exactly

FAMILY = get_family("convnext")
SMALL = {"resolution": 28, "num_classes": 10, "in_channels": 1}
NARROW = {**SMALL, "depths": [1, 2], "widths": [8, 24]}


@pytest.mark.parametrize(
    "options",
    [
        {**FAMILY.presets["tiny"], "resolution": 64},
        NARROW,
        {**NARROW, "kernel": 3, "mlp_ratio": 2, "layer_scale": 0, "patch": 1},
    ],
)
def test_counts_equal_torchs_of_the_built_module(options):
    assert_counted_exactly(FAMILY, options)


def test_macs_of_the_paper():
    # Liu et al. 2022, tables 1 and 12: billions of MACs at 224 pixels, without biases there.
    paper = {"tiny": 4.5, "small": 8.7, "base": 15.4, "large": 34.4, "xlarge": 60.9}
    for preset, giga in paper.items():
        macs = FAMILY.cost(FAMILY.resolve(FAMILY.presets[preset])).macs_forward
        assert macs / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(("resolution", "patch"), [(8, 1), (28, 2), (32, 2), (64, 4), (224, 4)])
def test_the_patch_follows_the_resolution(resolution, patch):
    assert FAMILY.resolve({"resolution": resolution}).patch == patch
    assert FAMILY.resolve({**NARROW, "resolution": resolution, "patch": 3}).patch == 3


def test_stochastic_depth_rises_from_0_to_its_rate():
    network = FAMILY.network(FAMILY.resolve({"depths": [1, 2, 1, 1], "drop_path": 0.4}))
    drops = [layer.drop for layer in network.body if isinstance(layer, Residual)]
    assert drops == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_layer_scale_makes_a_new_block_almost_the_identity():
    torch.manual_seed(0)
    module = FAMILY.build(FAMILY.resolve(NARROW)).eval()
    x = torch.randn(2, 8, 14, 14)
    difference = (module.body[0](x) - x).abs().max()
    assert 0 < difference < 1e-4  # 1e-6 times outputs of order one


def test_dials():
    config = FAMILY.resolve({"depth_multiplier": 1.2, "width_multiplier": 1.1})
    assert config.depths == (4, 4, 11, 4)
    assert config.widths == (104, 208, 424, 848)  # 105.6, 211.2, 422.4, 844.8
    found = FAMILY.cost(FAMILY.resolve({**SMALL, "num_params": 1e6})).num_params
    assert found == pytest.approx(1e6, rel=0.1)


def test_a_configuration_survives_json():
    config = FAMILY.resolve(NARROW)
    assert FAMILY.resolve(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": [1, 1]}, "depths 2, widths 4"),
        ({"kernel": 4}, "kernel 4 is even"),
        ({"layer_scale": -1}, "layer_scale -1"),
        ({"resolution": 28, "patch": 8}, "resolution 28 is too small"),
        ({"widths": [1.5, 2, 3, 4]}, "not a whole number"),
    ],
)
def test_bad_options_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        FAMILY.resolve(options)


def test_it_learns(tmp_path):
    model = {"depths": [1, 1], "widths": [16, 32], "layer_scale": 0}
    spec = RunSpec.resolve(
        family="convnext", data="digits", num_examples=64 * 60, batch_size=64, lr=3e-3, **model
    )
    outcome = train(spec, tmp_path)
    assert points(read_journal(tmp_path))[0]["loss"] == pytest.approx(math.log(10), abs=0.3)
    assert outcome.loss < 1.2
