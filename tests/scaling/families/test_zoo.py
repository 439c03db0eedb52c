"""The zoo's families: counts of the built module, training, dials, bad input."""

from __future__ import annotations

import json
import math

import pytest
import torch

from scaling import RunSpec
from scaling.data import fetch_data
from scaling.families import get_family
from scaling.families.base import cached_cost
from scaling.run.journal import points, read_journal
from scaling.training.loop import train
from scaling.training.task import make_task
from tests.scaling.built import assert_counted_exactly

TINY = {"resolution": 28, "in_channels": 1, "num_classes": 10}
# Small networks of each family, as they are trained on digits of 8 x 8 pixels.
NETWORKS = {
    "alexnet": {"widths": (8, 16), "depths": (1, 1), "dropout": 0.0, "norm": "batch"},
    "nin": {"widths": (16, 16), "dropout": 0.0, "norm": "batch"},
    "googlenet": {"depths": (1, 1), "width_multiplier": 0.125},
    "inception-resnet": {"depths": (1, 1, 1), "width": 2},
    "densenet": {"depths": (2, 2), "growth": 8},
    "nfnet": {"depths": (1, 1), "widths": (32, 64), "stem_width": 64, "dropout": 0.0},
    "mobilenet": {"depths": (1, 2), "widths": (8, 16), "dropout": 0.0},
    "swin": {"depths": (2, 1), "widths": (16, 32), "drop_path": 0.0},
    "senet": {"depths": (1, 1), "widths": (16, 32)},
    "dilated": {"depth": 2, "width": 16},
    "unet": {"width": 8},
    "wrn": {"depths": (1, 1), "widths": (16, 32)},
}
CASES = [
    *NETWORKS.items(),
    ("alexnet", {"width_multiplier": 0.125}),
    ("alexnet", {"activation": "maxout", "width_multiplier": 0.125, "norm": "instance"}),
    ("alexnet", {"response_norm": True, "width_multiplier": 0.125, "head_widths": ()}),
    ("nin", {"widths": (8, 8, 8), "inner_widths": (4, 4, 4), "norm": "batch", "depth": 3}),
    ("nin", {"widths": (8, 8), "activation": "prelu"}),
    ("googlenet", {"depths": (1, 1), "width_multiplier": 0.125, "activation": "maxout"}),
    ("googlenet", {"width_multiplier": 0.125, "norm": "none", "kernel": 5, "depths": (1,)}),
    ("inception-resnet", {"depths": (1, 1, 2), "width": 1, "resolution": 96}),
    ("densenet", {"depths": (2, 1, 2), "growth": 4, "norm": "group", "stem": "imagenet"}),
    ("densenet", {"depths": (2,), "growth": 4, "bottleneck": 0, "weight_standardisation": True}),
    ("nfnet", {"depths": (1, 2), "widths": (16, 24), "group_width": 4, "resolution": 64}),
    ("nfnet", {"depths": (2,), "widths": (16,), "se_ratio": 0, "activation": "silu"}),
    (
        "mobilenet",
        {
            "depths": (1, 2),
            "widths": (8, 16),
            "inner_widths": (8, 20, 24),
            "kernels": (3, 5),
            "hidden_width": 12,
            "relu_stages": 1,
            "squeezed": (0, 1),
        },
    ),
    ("mobilenet", {"depths": (1, 1), "widths": (8, 8), "squeezed": (0, 1), "activation": "relu"}),
    ("swin", {"depths": (2, 2), "widths": (8, 16), "heads": (1, 2), "resolution": 27}),
    ("swin", {"depths": (2,), "widths": (32,), "window": 3, "patch": 2, "resolution": 16}),
    ("dilated", {"dilations": (1, 3), "width": 4, "dense": True, "norm": "none", "kernel": 5}),
    ("unet", {"width": 4, "activation": "elu", "norm": "none", "convolutions": 1}),
    ("unet", {"width": 4, "depth": 0, "weight_standardisation": True, "norm": "group"}),
    ("senet", {"depths": (2, 1), "widths": (16, 32), "activation": "prelu", "block": "basic"}),
    ("wrn", {"depths": (2, 2), "widths": (16, 16), "block": "bottleneck", "preactivation": True}),
    ("wrn", {"depths": (1, 2), "widths": (8, 16), "inner_dropout": 0.3, "se_ratio": 0.5}),
    ("resnet", {"depths": (2,), "widths": (16,), "norm": "instance"}),
    ("resnet", {"depths": (2,), "widths": (16,), "weight_standardisation": True}),
    ("vgg", {"depths": (1, 1), "widths": (8, 8), "norm": "group", "weight_standardisation": True}),
    ("vgg", {"depths": (1, 1), "widths": (8, 8), "norm": "batch", "activation": "maxout"}),
    ("lenet", {"activation": "maxout"}),
    ("mlp", {"activation": "maxout", "input_shape": (7,)}),
    ("mlp", {"activation": "prelu", "input_shape": (7,), "init": "orthogonal"}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_counts_equal_those_of_the_built_module(name, options):
    assert_counted_exactly(get_family(name), {**(TINY if name != "mlp" else {}), **options})


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_configuration_survives_json_and_is_its_own_description(name, options):
    family = get_family(name)
    config = family.resolve({**(TINY if name != "mlp" else {}), **options})
    assert family.config(**json.loads(json.dumps(config.to_dict()))) == config
    assert family.resolve(config.to_dict()) == config


@pytest.mark.parametrize("name", NETWORKS)
def test_dials_and_targets(name):
    family = get_family(name)
    base = cached_cost(family, family.resolve(TINY))
    wide = cached_cost(family, family.resolve({**TINY, "width_multiplier": 2}))
    deep = cached_cost(family, family.resolve({**TINY, "depth_multiplier": 2}))
    assert 1.8 < wide.num_params / base.num_params < 4.2
    assert 1.1 < deep.macs_forward / base.macs_forward < 4
    small = cached_cost(family, family.resolve({**TINY, "num_params": base.num_params / 20}))
    assert small.num_params == pytest.approx(base.num_params / 20, rel=0.15)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_learns(name, tmp_path):
    fetch_data("digits")
    spec = RunSpec.resolve(
        family=name,
        data="digits",
        schedule="constant",
        lr=3e-3,
        batch_size=32,
        num_examples=32 * 20,
        curve_examples=64,
        **NETWORKS[name],
    )
    assert math.isfinite(train(spec, tmp_path).loss)
    # Of the last steps; the held-out loss is that of norms which hardly know their statistics yet.
    assert points(read_journal(tmp_path))[-1]["train_loss"] < math.log(10) - 0.1


def test_classifiers_on_the_side_add_their_gradient_to_the_loss():
    fetch_data("digits")
    shape = {"depths": (1, 2), "width_multiplier": 0.125, "auxiliary": 0.3}
    spec = RunSpec.resolve(family="googlenet", data="digits", num_examples=64, lr=0.1, **shape)
    module = get_family("googlenet").build(spec.model)
    task = make_task(spec, None, torch.device("cpu"))

    def step(weight):
        module.auxiliaries[0].weight = weight
        module.zero_grad()
        torch.manual_seed(0)  # of dropout
        loss = task.loss(module.train(), 0)
        loss.backward()
        return loss.item(), {name: p.grad for name, p in module.named_parameters()}

    (value, none), (_, half), (same, whole) = (step(weight) for weight in (0.0, 0.5, 1.0))
    assert value == same  # it compares with losses that are held out
    for name, gradient in whole.items():
        assert torch.allclose(half[name], (none[name] + gradient) / 2, atol=1e-6), name
    first = next(name for name in whole if name.startswith("stem"))
    assert (whole[first] - none[first]).norm() > 0.01 * none[first].norm()
    assert len(module.auxiliaries) == 1
    module.eval()(torch.zeros(1, 1, 8, 8))
    assert module.auxiliaries[0].logits is None
    task.close()


def test_pixels_are_labelled_where_the_image_is_bright(tmp_path):
    fetch_data("digits")
    common = {"data": "digits", "num_examples": 64, "lr": 0.1}
    spec = RunSpec.resolve(family="unet", width=4, **common)
    task = make_task(spec, None, torch.device("cpu"))
    images = torch.tensor(
        [[[[0.0, 4.0], [0.0, 0.0]]], [[[5.0, 0.0], [0.0, 4.0]]], [[[2.0, 2.0], [2.0, 2.0]]]]
    )
    labels = task._labels(images, torch.tensor([7, 3, 1]))
    assert labels.tolist() == [[[-100, 7], [-100, -100]], [[3, -100], [-100, 3]], [[-100] * 2] * 2]
    logits = torch.zeros(3, 10, 2, 2)
    logits[:, 3] = 1.0  # all pixels are taken for a three
    right, wrong = (math.log(9 + math.e) - one for one in (1, 0))
    losses, errors = task._scores(logits, labels).tolist()
    assert losses == pytest.approx([wrong, right, 0])
    assert errors == [1, 0, 0]
    with torch.no_grad():
        found = task.evaluate(get_family("unet").build(spec.model).eval(), 0)
    assert 0 < found["error"] <= 1
    assert found["loss"] == pytest.approx(math.log(10), abs=1.5)
    task.close()
    with pytest.raises(ValueError, match="mixup mixes images, whose pixels have one label each"):
        RunSpec.resolve(family="unet", mixup=0.2, **common)


@pytest.mark.parametrize(("kernel", "depth"), [(3, 4), (5, 3)])
def test_dilations_widen_what_is_seen_at_equal_parameters_and_products(kernel, depth):
    family = get_family("dilated")
    wide, plain = (
        family.cost(family.resolve({**TINY, "kernel": kernel, "dilations": dilations}))
        for dilations in ([2**i for i in range(depth)], [1] * depth)
    )
    assert (wide.num_params, wide.macs_forward) == (plain.num_params, plain.macs_forward)
    # Yu and Koltun 2016, section 2: exponentially in the depth, not linearly.
    assert wide.receptive_field == (kernel - 1) * (2**depth - 1) + 1
    assert plain.receptive_field == (kernel - 1) * depth + 1


def test_the_context_module_sees_what_its_table_says():
    family, seen = get_family("dilated"), []
    dilations = family.resolve({}).dilations
    for i in range(len(dilations)):
        config = family.resolve({**TINY, "dilations": dilations[: i + 1]})
        seen.append(family.cost(config).receptive_field)
    assert seen == [3, 5, 9, 17, 33, 65, 67]  # Yu and Koltun 2016, table 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dilated", {"depth": 4, "width": 2}),
        ("unet", {"depth": 1, "width": 2}),
        ("googlenet", {"depths": (1, 1), "width_multiplier": 0.05}),
        ("densenet", {"depths": (2, 1), "growth": 2, "strides": (2,)}),
    ],
)
def test_the_receptive_field_is_where_the_gradient_is(name, options):
    family = get_family(name)
    common = {"activation": "identity", "resolution": 48, "in_channels": 1, "stem": "small"}
    if name in ("dilated", "unet"):
        del common["stem"]
    config = family.resolve({**common, **options})
    module = family.build(config).eval().double()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_().add_(0.1)  # nothing cancels
    widths = []
    for place in (-2, -1, 0, 1):
        seen = torch.zeros(48, dtype=torch.bool)
        for _ in range(4):  # max pools pass on one gradient of four
            x = torch.rand(1, 1, 48, 48, dtype=torch.double, requires_grad=True)
            out = module.body(module.stem(x))
            out[0, :, out.shape[2] // 2 + place, out.shape[3] // 2].sum().backward()
            seen |= x.grad[0, 0].abs().amax(1) > 0
        places = seen.nonzero().flatten()
        widths.append(int(places[-1] - places[0] + 1))
    assert max(widths) == family.cost(config).receptive_field


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alexnet", {"depths": (1, 1)}, "widths has 5 numbers for 2 blocks: give each block one"),
        ("alexnet", {"activation": "rleu"}, "unknown activation 'rleu'.*did you mean 'relu'"),
        ("alexnet", {"norm": "instanse"}, "did you mean 'instance'"),
        ("alexnet", {"groups": (5, 1, 1, 1, 1)}, "5 groups divide not both 3 and 64 channels"),
        ("nin", {"outer_widths": (96,)}, "outer_widths has 1 numbers for 4 blocks"),
        ("nin", {"depth": 1}, "depth 1 is below 2: a block has an inner and an outer 1x1"),
        ("googlenet", {"auxiliary": 3}, r"auxiliary 3.* is not in \[0, 1\]"),
        ("googlenet", {"depths": (2,), "auxiliary": 0.3}, "give two depths"),
        ("googlenet", {"widths_5x5": (8, 8)}, "widths_5x5 has 2 numbers for 9 blocks"),
        ("inception-resnet", {"depths": (1, 1)}, r"depths \[1, 1\] are not three numbers"),
        ("densenet", {"strides": (2, 2)}, "strides .* are not one between each two of 4 stages"),
        ("densenet", {"compression": 0}, r"compression 0.* is not in \(0, 1\]"),
        ("nfnet", {"activation": "mish"}, "unknown activation of networks without norms"),
        ("nfnet", {"group_width": 100}, r"take widths \[200, 600, 1600, 1600\]"),
        ("mobilenet", {"inner_widths": (8,)}, "inner_widths has 1 numbers for 15 blocks"),
        ("mobilenet", {"squeezed": (2,) * 6}, "other numbers than 0 and 1"),
        ("mobilenet", {"widths": ()}, "widths is empty"),
        ("swin", {"heads": (5, 6, 12, 24)}, "heads 5 divide not width 96: take 6"),
        ("swin", {"window": 0}, "window 0 is below 1"),
        ("dilated", {"depth": 13}, r"depth 13 is not within \[1, 12\]"),
        ("dilated", {"kernel": 4}, "kernel 4 is even"),
        ("unet", {"depth": 3, "resolution": 28}, "= 8: take 24 or 32, or depth 2"),
        ("resnet", {"activation": "maxout"}, "unknown activation 'maxout'"),
    ],
)
def test_bad_options_are_refused_with_a_remedy(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_family(name).resolve(options)
