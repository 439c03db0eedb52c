"""Plain, residual and regular convolutional families: counts, dials, stems, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.families import get_family
from scaling.families.base import cached_cost
from scaling.families.vision.zoo.anynet import compatible
from scaling.families.vision.zoo.regnet import quantised_widths
from tests.scaling.built import assert_counted_exactly

SMALL = {"depths": (1, 2), "widths": (8, 12), "resolution": 16, "in_channels": 1}
CASES = [
    ("mlp", {"depth": 3, "width": 20, "norm": "batch", "input_shape": [7]}),
    ("mlp", {"depth": 1, "width": 5, "norm": "layer", "dropout": 0.1}),
    ("lenet", {"resolution": 28, "pool": "max"}),
    ("lenet", {"resolution": 28, "depth_multiplier": 2.5}),
    ("lenet", {"resolution": 8, "widths": (3, 4), "head_widths": ()}),
    ("vgg", {**SMALL, "norm": "batch"}),
    ("vgg", {"width_multiplier": 0.1, "resolution": 28, "num_classes": 10}),
    ("resnet", {**SMALL, "block": "basic", "se_ratio": 0.25}),
    ("resnet", {**SMALL, "block": "basic", "shortcut": "padded", "stem_width": 6}),
    ("resnet", {**SMALL, "stem": "pooled", "norm": "group", "resolution": 64}),
    ("resnet", {**SMALL, "norm": "none", "se_ratio": 0.5, "activation": "gelu"}),
    ("resnext", {**SMALL, "groups": 2, "stride_1x1": True}),
    ("anynet", {**SMALL, "group_widths": 4, "bottleneck_ratios": 0.5}),
    ("anynet", {**SMALL, "group_widths": 2, "bottleneck_ratios": [1, 2], "norm": "layer"}),
    ("anynet", {**SMALL, "group_widths": 4, "block": "vanilla", "activation": "silu"}),
    ("regnetx", {"num_params": 3e4, "resolution": 32, "num_classes": 10}),
    ("regnety", {"depth": 5, "w0": 8, "wa": 6, "wm": 2, "group_width": 8, "resolution": 28}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_counts_equal_those_of_the_built_module(name, options):
    assert_counted_exactly(get_family(name), options)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_configuration_survives_json_and_is_its_own_description(name, options):
    family = get_family(name)
    config = family.resolve(options)
    again = family.config(**json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert family.resolve(config.to_dict()) == config


@pytest.mark.parametrize("name", ["mlp", "lenet", "vgg", "resnet", "resnext", "anynet", "regnetx"])
@pytest.mark.parametrize("target", [{"num_params": 40_000}, {"flops_forward": 4e6}])
def test_a_target_is_met_nearly(name, target):
    family = get_family(name)
    shape = {"input_shape": (1, 28, 28)} if name == "mlp" else {"resolution": 28, "in_channels": 1}
    depths = {"depths": (1, 1, 2, 1)} if name in ("resnet", "resnext", "anynet") else {}
    cost = cached_cost(family, family.resolve({**shape, **depths, **target, "num_classes": 10}))
    ((key, wanted),) = target.items()
    assert getattr(cost, key) == pytest.approx(wanted, rel=0.12)


@pytest.mark.parametrize("name", ["mlp", "lenet", "vgg", "resnet", "anynet", "regnety"])
def test_the_dials_scale_params_in_depth_and_width(name):
    family = get_family(name)
    given_ = {} if name == "mlp" else {"resolution": 64}
    base = family.cost(family.resolve(given_))
    wide = family.cost(family.resolve({**given_, "width_multiplier": 2}))
    deep = family.cost(family.resolve({**given_, "depth_multiplier": 2}))
    assert 1.9 < wide.num_params / base.num_params < 4.2
    assert 1.2 < deep.macs_forward / base.macs_forward < 4.1
    assert family.resolve({**given_, "depth_multiplier": 1}) == family.resolve(given_)


@pytest.mark.parametrize("resolution", [8, 28, 32])
@pytest.mark.parametrize("name", ["lenet", "vgg", "resnet", "resnext", "anynet", "regnetx"])
def test_small_inputs_have_a_stem(name, resolution):
    family = get_family(name)
    config = family.resolve({"resolution": resolution})
    if name != "lenet":
        assert -(-resolution // int(np.prod(config.strides))) >= 4
        assert getattr(config, "stem", "small") == "small"
    assert family.cost(config).macs_forward > 0


def test_a_resolution_too_small_for_the_strides_is_refused():
    with pytest.raises(ValueError, match=r"resolution 8 is too small: 1x1 .* larger resolution"):
        get_family("anynet").resolve({"resolution": 8, "stem": "imagenet"})
    with pytest.raises(ValueError, match="resolution 16 is too small"):
        get_family("vgg").resolve({"resolution": 16, "strides": [2] * 5})


def test_a_bad_group_width_is_fixed_and_said(capsys):
    options = {"depths": [1, 1], "widths": [40, 50], "group_widths": [16, 64], "resolution": 28}
    config = get_family("anynet").resolve(options)
    assert (config.widths, config.group_widths) == ((32, 50), (16, 50))
    said = capsys.readouterr().err
    assert "group widths [16, 64] do not fit widths [40, 50]" in said
    assert "took group widths [16, 50], widths [32, 50]" in said
    get_family("anynet").resolve(options)
    assert capsys.readouterr().err == ""
    get_family("resnext").resolve({"depths": [1], "widths": [100], "resolution": 28})
    assert "32 groups do not divide [50]: took [64]" in capsys.readouterr().err


@given(
    st.lists(
        st.tuples(
            st.integers(1, 1024), st.sampled_from([0.25, 0.5, 1, 1.5, 2, 4]), st.integers(1, 256)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_compatible_widths_are_divisible_near_and_stay(stages):
    widths, ratios, groups = (tuple(column) for column in zip(*stages, strict=True))
    new_widths, new_groups = compatible(widths, ratios, groups)
    assert compatible(new_widths, ratios, new_groups) == (new_widths, new_groups)
    for width, ratio, group, before, asked in zip(
        new_widths, ratios, new_groups, widths, groups, strict=True
    ):
        assert round(width / ratio) % group == 0
        assert group <= asked
        step = group * (round(1 / ratio) if ratio < 1 else 1)
        assert abs(width / ratio - before / ratio) <= max(step, 1) + 1


@settings(max_examples=50)
@given(
    st.integers(1, 40),
    st.integers(1, 32).map(lambda i: 8 * i),
    st.floats(0, 200),
    st.floats(1.1, 3),
)
def test_quantised_widths_follow_the_papers_numpy(depth, w0, wa, wm):
    # generate_regnet of the authors' code.
    continuous = np.arange(depth) * wa + w0
    ks = np.round(np.log(continuous / w0) / np.log(wm))
    expected = np.round(np.divide(w0 * np.power(wm, ks), 8)).astype(int) * 8
    # A width half way between two multiples may round to either.
    assume(np.all(np.abs((w0 * wm**ks / 8) % 1 - 0.5) > 1e-6))
    assume(np.all(np.abs((np.log(continuous / w0) / np.log(wm)) % 1 - 0.5) > 1e-6))
    assert quantised_widths(depth, w0, wa, wm) == tuple(expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("anynet", {"norm": "bach"}, "did you mean 'batch'"),
        ("anynet", {"activation": "rlu"}, "unknown activation 'rlu'"),
        ("resnet", {"init": "hee"}, "unknown init 'hee'"),
        ("anynet", {"depths": [1, 1], "widths": [8]}, "stages differ in number"),
        ("anynet", {"bottleneck_ratios": 0.3}, "at least 1, or 1/2, 1/3"),
        ("regnetx", {"depth": 5}, "the rule needs w0, wa, wm too"),
        ("regnetx", {"depth": 5, "depths": [1], "widths": [8]}, "set the stages by the rule"),
        ("regnetx", {"depth": 5, "w0": 8, "wa": 6, "wm": 1}, "wm 1 is not above 1"),
        ("resnet", {"block": "basic", "norm": "none", "activation": "mish"}, "without norms"),
        ("resnet", {"drop_path": 1.0}, r"drop_path 1.0 is not in \[0, 1\)"),
        ("resnet", {"depths": [3, 4]}, "stages differ in number: depths 2, widths 4"),
        ("lenet", {"widths": 6}, "widths 6 is not a list of whole numbers"),
        ("lenet", {"paddings": 6}, "paddings 6 is not a list of whole numbers"),
        ("lenet", {"depth": 0}, "depth 0 is below 1"),
        ("lenet", {"depth": 2, "kernel": 4}, "take an odd kernel or depth 1"),
        ("lenet", {"paddings": [1]}, "one for each of widths"),
        ("mlp", {"num_params": 10, "width_multiplier": 2}, "not both"),
        ("vgg", {"resolution": 28, "num_params": 100}, "num_params 100 is out of reach"),
    ],
)
def test_bad_options_are_refused_with_a_remedy(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_family(name).resolve(options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet", {"stride_1x1": True}),
        ("resnet", {"block": "basic"}),
        ("anynet", {"group_widths": 4}),
        ("lenet", {"kernel": 3, "paddings": (1, 1)}),
        ("lenet", {"kernel": 3, "depth": 3}),
    ],
)
def test_the_receptive_field_is_where_the_gradient_is(name, options):
    family = get_family(name)
    common = {"activation": "identity", "resolution": 64, "in_channels": 1, "widths": (4, 4)}
    residual = {"depths": (2, 1), "strides": (2, 2), "stem": "small"} if name != "lenet" else {}
    config = family.resolve({**common, **residual, **options})
    module = family.build(config).eval().double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_().add_(0.1)  # nothing cancels
    x = torch.zeros(1, 1, 64, 64, dtype=torch.double, requires_grad=True)
    out = module.body(module.stem(x))
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    seen = x.grad[0, 0].abs().amax(0).nonzero().flatten()
    assert seen[-1] - seen[0] + 1 == family.cost(config).receptive_field


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("efficientnet", {"depth_multiplier": 1e9}),
        ("resnet", {"depths": (10**9,) * 4, "widths": (64,) * 4}),
        ("regnetx", {"depth": 10**9, "w0": 24, "wa": 36.44, "wm": 2.49, "group_width": 8}),
        ("vit", {"depth": 10**9, "width": 192, "mlp_width": 768, "heads": 3}),
        ("mlp", {"depth": 10**9}),
        ("vit", {"depth": 100_000}),
        ("efficientnet", {"depths": (10_000,) * 7}),
    ],
)
def test_absurd_sizes_are_refused_at_once(name, options):
    with pytest.raises(ValueError, match=r"is above 1000|not within"):
        get_family(name).resolve(options)
