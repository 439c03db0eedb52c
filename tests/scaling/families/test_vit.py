"""The vision transformer: exact counts of the built module, pooling, positions, dials."""

from __future__ import annotations

import json
import math

import pytest
import torch

from scaling.families import get_family
from scaling.families.vision.layers import Residual
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.built import assert_counted_exactly

FAMILY = get_family("vit")
SMALL = {"resolution": 28, "num_classes": 10, "in_channels": 1}
NARROW = {**SMALL, "depth": 2, "width": 24}


@pytest.mark.parametrize(
    "options",
    [
        FAMILY.presets["ti16"],
        NARROW,
        {**NARROW, "pool": "mean", "positions": "sincos", "patch": 7},
        {**NARROW, "positions": "none", "heads": 6, "mlp_width": 50, "resolution": 30},
    ],
)
def test_counts_equal_torchs_of_the_built_module(options):
    assert_counted_exactly(FAMILY, options)


def test_macs_without_biases_in_closed_form():
    # One block on t tokens of width d with a perceptron of width m: t (4 d^2 + 2 d m) + 2 t^2 d.
    c = FAMILY.resolve(FAMILY.presets["l16"])
    t, d, m = 14**2 + 1, c.width, c.mlp_width
    block = t * (4 * d**2 + 2 * d * m) + 2 * t**2 * d
    biases = c.depth * t * (5 * d + m) + 14**2 * d + 1000
    outside = 14**2 * 16**2 * 3 * d + 1000 * d
    assert FAMILY.cost(c).macs_forward == c.depth * block + outside + biases


@pytest.mark.parametrize(
    ("resolution", "patch", "tokens"), [(8, 2, 16), (28, 4, 49), (32, 4, 64), (224, 16, 196)]
)
def test_the_patch_follows_the_resolution(resolution, patch, tokens):
    config = FAMILY.resolve({"resolution": resolution, "pool": "mean"})
    assert config.patch == patch
    none = FAMILY.resolve({"resolution": resolution, "pool": "mean", "positions": "none"})
    assert FAMILY.cost(config).num_params - FAMILY.cost(none).num_params == tokens * config.width


@pytest.mark.parametrize(
    ("width", "heads"), [(24, 3), (32, 4), (64, 4), (96, 3), (192, 3), (384, 6), (1024, 16)]
)
def test_default_heads(width, heads):
    assert FAMILY.resolve({"width": width}).heads == heads


def test_without_positions_patches_may_be_shuffled_but_not_with_them():
    image = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    mirrored = image.roll(8, dims=-1)  # whole patches
    for positions in ("none", "learned", "sincos"):
        torch.manual_seed(0)
        module = FAMILY.build(FAMILY.resolve({**NARROW, "positions": positions})).eval()
        with torch.no_grad():
            difference = (module(image) - module(mirrored)).abs().max()
        assert (difference < 1e-5) == (positions == "none")


def test_stochastic_depth_rises_from_0_to_its_rate_over_both_branches_of_a_block():
    network = FAMILY.network(FAMILY.resolve({**NARROW, "drop_path": 0.3}))
    drops = [layer.drop for layer in network.body if isinstance(layer, Residual)]
    assert drops == pytest.approx([0, 0.1, 0.2, 0.3])


def test_dials():
    config = FAMILY.resolve({**FAMILY.presets["s16"], "width_multiplier": 2})
    assert config == FAMILY.resolve(FAMILY.presets["b16"])
    assert FAMILY.resolve({"depth_multiplier": 1.3}).depth == 16
    found = FAMILY.cost(FAMILY.resolve({**SMALL, "depth": 4, "num_params": 1e6})).num_params
    assert found == pytest.approx(1e6, rel=0.1)


def test_the_shape_grows_as_sovits_exponents_say():
    # Alabdulmohsin et al. 2023, sections 3 (each size gets a third of the compute) and 4.1.
    options = FAMILY.presets["so400m14"]
    base = FAMILY.resolve(options)
    assert FAMILY.resolve({**options, "sovit_compute": 1}) == base
    grown = FAMILY.resolve({**options, "sovit_compute": 1000})
    for name, power in {"depth": 0.45, "width": 0.22, "mlp_width": 0.6}.items():
        growth = getattr(grown, name) / getattr(base, name)
        assert 3 * math.log(growth, 1000) == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize("preset", ["so150m14", "so400m14"])
def test_ten_times_the_compute_makes_two_and_a_half_times_the_parameters(preset):
    # Alabdulmohsin et al. 2023, section 4.1, II: "a factor of approximately 2.5".
    base, grown = (
        FAMILY.cost(FAMILY.resolve({**FAMILY.presets[preset], "sovit_compute": c})) for c in (1, 10)
    )
    assert grown.num_params / base.num_params == pytest.approx(2.5, abs=0.25)


def test_a_configuration_survives_json():
    config = FAMILY.resolve({**NARROW, "sovit_compute": 3})
    assert FAMILY.resolve(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 100, "heads": 3}, "take width 99 or heads 2$"),
        ({"pool": "max"}, "token, mean"),
        ({"width": 30, "positions": "sincos"}, "no multiple of 4"),
        ({"resolution": 8, "patch": 16}, "resolution 8 is too small"),
        ({"sovit_compute": 0}, "sovit_compute 0 is not in"),
        ({"depth": 0}, "depth 0 is below 1"),
        ({"width": 0}, r"width 0 is not within \[1, 100000\]"),
        ({"width": 99999999977}, r"width 99999999977 is not within \[1, 100000\]"),
        ({"headz": 3}, "heads"),
    ],
)
def test_bad_options_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        FAMILY.resolve(options)


@pytest.mark.parametrize(("pool", "positions"), [("token", "learned"), ("mean", "sincos")])
def test_it_learns(tmp_path, pool, positions):
    model = {"depth": 2, "width": 32, "pool": pool, "positions": positions}
    spec = RunSpec.resolve(
        family="vit", data="digits", num_examples=64 * 60, batch_size=64, lr=3e-3, **model
    )
    assert train(spec, tmp_path).loss < 1.5
