"""The torch builder: how modules start, what they compute, what they learn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scaling import RunSpec
from scaling.data import fetch_data
from scaling.families import get_family
from scaling.families.vision import layers as L
from scaling.families.vision.layers_module import (
    INITS,
    NetworkModule,
    ScaledWSConv2d,
    sequence,
)
from scaling.families.vision.tokens_module import sincos
from scaling.families.vision.zoo.residual import ALPHA, GAINS
from scaling.run.journal import end, points, read_journal
from scaling.training.loop import train
from scaling.training.optim import clip_adaptively


def test_the_names_of_the_vocabulary_are_those_of_the_builder():
    assert set(INITS) == set(L.INITS)


@pytest.mark.parametrize("kind", GAINS)
def test_gains_keep_the_variance_at_one(kind):
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    module = sequence((L.Act(kind, GAINS[kind]),), (1,))[0]
    assert module(x).var().item() == pytest.approx(1, abs=0.01)


def test_scaled_weight_standardisation_keeps_the_variance_too():
    torch.manual_seed(0)
    conv = ScaledWSConv2d(64, 64, 3, padding=1)
    nn.init.uniform_(conv.weight, 2, 5)  # whatever they are
    x = torch.relu(torch.randn(8, 64, 16, 16)) * GAINS["relu"]
    assert conv(x)[:, :, 2:-2, 2:-2].var().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["resnet", "anynet"])
def test_a_network_without_norms_has_the_predicted_variance(name):
    torch.manual_seed(0)
    family = get_family(name)
    shape = {"depths": (5, 8), "widths": (64, 128), "resolution": 32, "stem_width": 64}
    module = family.build(family.resolve({**shape, "norm": "none"}))
    for residual in module.modules():
        if getattr(residual, "scale", None) is not None:
            assert residual.scale.item() == 0  # SkipInit: the identity at the start
            nn.init.ones_(residual.scale)
    with torch.no_grad():
        out = module.body(module.stem(torch.randn(8, 3, 32, 32)))
    assert out.var().item() == pytest.approx(1 + 8 * ALPHA**2, rel=0.2)


def test_residual_branches_start_as_the_identity():
    family = get_family("resnet")
    module = family.build(family.resolve({"depths": (2,), "widths": (16,), "resolution": 8}))
    block = module.body[2]
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), x)


def test_stochastic_depth_drops_examples_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = L.Residual((L.Conv(1),), drop=0.25)
    module = sequence((layer,), (1, 1, 1))[0]
    nn.init.ones_(module[0].branch[0].weight)
    out = module(torch.ones(20_000, 1, 1, 1)).flatten().detach()
    values, counts = out.unique(return_counts=True)
    assert values.tolist() == pytest.approx([1, 1 + 1 / 0.75])
    assert counts[0].item() / len(out) == pytest.approx(0.25, abs=0.015)
    assert out.mean().item() == pytest.approx(2, abs=0.03)
    assert torch.equal(module.eval()(torch.ones(3, 1, 1, 1)), torch.full((3, 1, 1, 1), 2.0))


def test_he_starts_by_fan_out_and_the_classifier_by_its_inputs():
    torch.manual_seed(0)
    layers = (L.Conv(64, 3), L.GlobalPool(), L.Linear(500))
    network = L.Network((32, 8, 8), (), layers[:1], layers[1:], init="he")
    module = NetworkModule(network)
    assert module.body[0].weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert module.head[1].weight.std().item() == pytest.approx(1 / 8, rel=0.02)
    assert not module.head[1].bias.any()


def test_only_kernels_decay():
    family = get_family("resnet")
    options = {"depths": (1,), "widths": (8,), "resolution": 8, "norm": "none", "se_ratio": 0.5}
    module = family.build(family.resolve(options))
    decayed, others = (group["params"] for group in module.param_groups())
    kernels = [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert {id(p) for p in decayed} == {id(p) for p in kernels}
    assert {id(p) for p in (*decayed, *others)} == {id(p) for p in module.parameters()}


def test_fixed_positions_differ_everywhere_and_have_unit_pairs():
    table = sincos(5, 3, 16)
    assert len(table.unique(dim=0)) == 15
    assert (table**2).sum(1).tolist() == pytest.approx([8.0] * 15)


def test_adaptive_clipping_limits_each_unit_but_the_classifiers():
    torch.manual_seed(0)
    body = (L.Conv(4, 3, bias=True, standardised=True), L.Flatten())
    network = L.Network((2, 3, 3), (), body, (L.Linear(5), L.Linear(3)))
    module = NetworkModule(network).double()
    module(100 * torch.randn(2, 2, 3, 3).double()).square().sum().backward()
    before = {name: p.grad.clone() for name, p in module.named_parameters()}
    clip_adaptively(module, 0.1)
    for name, p in module.named_parameters():
        old, new = before[name], p.grad
        if name.startswith("head.1"):
            assert torch.equal(old, new)
            continue
        # One line a unit: filters and rows; gains and biases are one unit each.
        rows = 1 if p.ndim == 1 or name.endswith("gain") else len(p)
        for w, g, h in zip(*(x.reshape(rows, -1) for x in (p, old, new)), strict=True):
            limit = 0.1 * max(w.norm().item(), 1e-3)
            assert h.norm().item() == pytest.approx(min(g.norm().item(), limit))
            assert torch.allclose(h * g.norm(), g * h.norm())  # the direction stays


TRAINED = {
    "mlp": {"depth": 1, "width": 32},
    "lenet": {},
    "vgg": {"depths": (1, 1), "widths": (8, 16), "norm": "batch", "dropout": 0},
    "resnet": {"depths": (1, 1), "widths": (16, 32), "block": "basic", "drop_path": 0.2},
    "resnext": {"depths": (1,), "widths": (16,), "groups": 2, "norm": "none", "adaptive_clip": 0.1},
    "anynet": {"depths": (1, 1), "widths": (16, 32), "group_widths": 8, "norm": "group"},
    "regnety": {"depth": 3, "w0": 16, "wa": 16, "wm": 2, "group_width": 8},
}


@pytest.mark.parametrize("name", TRAINED)
def test_every_family_learns_and_resumes_to_the_bit(name, tmp_path):
    fetch_data("digits")
    options = {"lr": 0.01, "batch_size": 32, "num_examples": 32 * 45, "curve_tokens": 64}
    spec = RunSpec.resolve(
        family=name, data="digits", schedule="constant", grad_clip=0, **options, **TRAINED[name]
    )
    whole = train(spec, tmp_path / "whole")
    curve = points(read_journal(tmp_path / "whole"))
    assert whole.loss < curve[0]["train_loss"]  # the latter is the mean of the first steps
    assert whole.values["error"] < 0.75  # 0.9 by chance
    calls = iter(range(1000))
    assert train(spec, tmp_path / "parts", should_stop=lambda: next(calls) == 19).status == (
        "stopped"
    )
    parts = train(spec, tmp_path / "parts")
    assert (parts.loss, parts.values["error"]) == (whole.loss, whole.values["error"])
    again = end(read_journal(tmp_path / "parts"))
    assert again["flops_spent"] == spec.flops
