"""Optimisers against torch's and the published formulas; their rates, decay and resumption."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training import optimizers
from scaling.training.loop import train
from scaling.training.optim import averaged, make_optimizer
from scaling.training.optimizers import Muon, orthogonalised
from tests.scaling.test_spec import BASE, INFO
from tests.scaling.training.test_loop import bits, stop_after


def spec_of(**options):
    return RunSpec.resolve(info=INFO, **{**BASE, **options})


def stepped(optimizer, weights, gradients):
    """The weights after a step with each of the gradients."""
    for some in gradients:
        for weight, gradient in zip(weights, some, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
    return [weight.detach().clone() for weight in weights]


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (6, 20)])
def test_singular_values_become_alike(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    # Jordan et al. 2024: the iteration ends in about [0.7, 1.2] for all but the smallest ones.
    assert values.min() > 0.6 and values.max() < 1.25


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (6, 20)])
def test_muon_is_torchs(shape, monkeypatch):
    torch.manual_seed(1)
    start, gradients = torch.randn(shape), [[torch.randn(shape)] for _ in range(4)]
    one, other = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours = Muon(
        [{"params": [one], "muon": True}], lr=0.02, betas=(0.9, 0.95), eps=1e-8, momentum=0.9
    )
    peer = torch.optim.Muon(
        [other], lr=0.02, weight_decay=0.0, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    # torch's iterates in bfloat16 wherever it is: given it, ours are the same to rounding.
    monkeypatch.setattr(
        optimizers, "orthogonalised", lambda x: orthogonalised(x.bfloat16().float())
    )
    (found,), (expected,) = (
        stepped(optimizer, [weight], gradients)
        for optimizer, weight in ((ours, one), (peer, other))
    )
    moved = (expected - start).norm()
    assert (found - expected).norm() < 0.02 * moved
    rms = (found - start).square().mean().sqrt() / 4
    assert rms < 0.02 * 0.25  # Liu et al. 2025: about 0.2, as AdamW's


def test_muons_other_part_is_adamw():
    torch.manual_seed(2)
    start = [torch.randn(5), torch.randn(4, 3)]
    gradients = [[torch.randn(5), torch.randn(4, 3)] for _ in range(5)]
    options = {"lr": 0.01, "betas": (0.9, 0.95), "eps": 1e-8}
    mine, its = ([torch.nn.Parameter(x.clone()) for x in start] for _ in range(2))
    ours = stepped(Muon([{"params": mine}], **options, momentum=0.95), mine, gradients)
    peer = stepped(torch.optim.AdamW(its, **options, weight_decay=0.0), its, gradients)
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(ours, peer, strict=True))


def test_lion_by_its_algorithm():
    # Chen et al. 2023, alg. 2, in floats
    w, m, lr, decay, beta1, beta2 = 0.5, 0.0, 0.1, 0.3, 0.9, 0.99
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, w)
    spec = spec_of(optimizer="lion", lr=lr, weight_decay=decay)
    assert spec.optim.beta2 == beta2
    optimizer = make_optimizer(spec, model)
    for g in (1.0, -0.2, -3.0, 0.1):
        model.weight.grad = torch.tensor([[g]])
        optimizer.step()
        w -= lr * (math.copysign(1.0, beta1 * m + (1 - beta1) * g) + decay * w)
        m = beta2 * m + (1 - beta2) * g
        assert float(model.weight.detach()) == pytest.approx(w, abs=1e-6)


def test_ademamix_by_its_algorithm():
    # Pagliardini et al. 2024, algorithm 1 with eqs. 4 and 5, in floats, over 5 steps
    w, m1, m2, v, lr, decay, alpha = 0.5, 0.0, 0.0, 0.0, 0.1, 0.3, 8.0
    b1, b2, b3, eps, steps = 0.9, 0.999, 0.99, 1e-8, 5
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, w)
    step = spec_of().units_per_step
    spec = spec_of(
        optimizer="ademamix", lr=lr, weight_decay=decay, beta3=b3, num_tokens=steps * step
    )
    assert (spec.optim.beta2, spec.optim.alpha, spec.num_steps) == (b2, alpha, steps)
    optimizer = make_optimizer(spec, model)
    half_lives = [math.log(0.5) / math.log(b) for b in (b1, b3)]
    for t, g in enumerate((1.0, -0.2, -3.0, 0.1, 0.4), 1):
        model.weight.grad = torch.tensor([[g]])
        optimizer.step()
        # Linear in the half-life is what eq. 5 says: ln b3(t) = ln .5 / half-life.
        half_life = half_lives[0] + t / steps * (half_lives[1] - half_lives[0])
        slow = 0.5 ** (1 / half_life)
        m1, m2 = b1 * m1 + (1 - b1) * g, slow * m2 + (1 - slow) * g
        v = b2 * v + (1 - b2) * g * g
        update = m1 / (1 - b1**t) + alpha * t / steps * m2
        w -= lr * (update / (math.sqrt(v / (1 - b2**t)) + eps) + decay * w)
        assert float(model.weight.detach()) == pytest.approx(w, abs=1e-5)


def test_schedulefree_by_its_algorithm():
    # Defazio et al. 2024, algorithm 1 (without warm-up), in floats: x is what is kept
    z = x = 0.5
    v, lr, decay, b1, b2, eps = 0.0, 0.1, 0.3, 0.9, 0.95, 1e-8
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, z)
    spec = spec_of(optimizer="schedulefree", schedule="constant", lr=lr, weight_decay=decay)
    optimizer = make_optimizer(spec, model)
    for t, g in enumerate((1.0, -0.2, -3.0, 0.1), 1):
        y = (1 - b1) * z + b1 * x
        assert float(model.weight.detach()) == pytest.approx(y, abs=1e-6)
        model.weight.grad = torch.tensor([[g]])
        optimizer.step()
        v = b2 * v + (1 - b2) * g * g
        z -= lr * (g / (math.sqrt(v / (1 - b2**t)) + eps) + decay * y)
        x += (z - x) / t
        before = model.weight.detach().clone()
        with averaged(optimizer):
            assert float(model.weight.detach()) == pytest.approx(x, abs=1e-6)
        assert torch.equal(model.weight.detach(), before)


def test_muon_takes_hidden_matrices_alone():
    spec = spec_of(optimizer="muon")
    assert spec.optim.momentum == 0.95
    model = get_family("transformer").build(spec.model)
    groups = make_optimizer(spec, model).param_groups
    mine = {id(p) for group in groups if group.get("muon") for p in group["params"]}
    assert mine == {id(p) for p in model.blocks.parameters() if p.ndim == 2}
    every = [p for group in groups for p in group["params"]]
    assert {id(p) for p in every} == {id(p) for p in model.parameters()}
    assert len(every) == len(list(model.parameters()))


def test_muon_on_kernels_and_cells():
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 6, 3)
    optimizer = make_optimizer(spec_of(optimizer="muon", lr=0.01, weight_decay=0), convolution)
    before = convolution.weight.detach().clone()
    convolution(torch.randn(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    moved = (convolution.weight.detach() - before).flatten(1)
    values = torch.linalg.svdvals(moved) / (0.01 * 0.2 * 27**0.5)
    assert values.min() > 0.6 and values.max() < 1.25


def test_muon_on_experts_is_that_on_the_matrix_of_each():
    spec = spec_of(optimizer="muon", experts=3, weight_decay=0, lr=0.01)
    torch.manual_seed(0)
    model = get_family("transformer").build(spec.model)
    stacks = [p for p in model.parameters() if p.ndim == 3]
    assert len(stacks) == 2 * spec.model.depth
    alone = [[torch.nn.Parameter(m.clone()) for m in p.detach()] for p in stacks]
    every = [matrix for matrices in alone for matrix in matrices]
    groups = [{"params": every, "muon": True}]
    by_itself = Muon(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-8, momentum=0.95)
    together = make_optimizer(spec, model)
    for _ in range(3):
        for stack, matrices in zip(stacks, alone, strict=True):
            stack.grad = torch.randn_like(stack)
            stack.grad[1] = 0  # an expert that no token chose
            for matrix, gradient in zip(matrices, stack.grad, strict=True):
                matrix.grad = gradient.clone()
        together.step()
        by_itself.step()
    for stack, matrices in zip(stacks, alone, strict=True):
        torch.testing.assert_close(stack, torch.stack(list(matrices)), rtol=1e-4, atol=1e-5)


def test_rates_and_decay_under_mup():
    # Adam's rate of hidden matrices is 1 / m at m times the base's width, Muon's 1 / sqrt(m).
    options = {"width": 256, "parametrisation": "mup", "lr": 0.01, "weight_decay": 0.2}
    for optimizer, share in (("lion", 1 / 4), ("muon", 1 / 2)):
        spec = spec_of(**options, optimizer=optimizer)
        model = get_family("transformer").build(spec.model)
        made = make_optimizer(spec, model)
        matrix = model.blocks[0].perceptron.enter.weight
        group = next(g for g in made.param_groups if any(p is matrix for p in g["params"]))
        assert group["lr_scale"] == pytest.approx(share)
        before = matrix.detach().clone()
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        made.step()  # no gradient: what is left is decay, lr x weight_decay whatever the multiplier
        assert torch.allclose(matrix.detach(), before * (1 - 0.01 * 0.2), atol=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "muon"},
        {"optimizer": "muon", "parametrisation": "mup", "base_width": 4},
        {"optimizer": "lion"},
        {"optimizer": "adafactor"},
        {"optimizer": "ademamix"},
        {"optimizer": "schedulefree", "schedule": "constant"},
    ],
    ids=str,
)
def test_stopping_and_resuming_gives_the_same_bits(tiny, tmp_path, options):
    spec = RunSpec.resolve(**tiny, **options)
    train(spec, tmp_path / "whole")
    for calls in (7, 13):
        assert train(spec, tmp_path / "parts", should_stop=stop_after(calls)).status == "stopped"
    train(spec, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "muon", "decay": "coupled"}, "muon has no coupled decay"),
        ({"optimizer": "lion", "momentum": 0.5}, "momentum 0.5 has no effect"),
        ({"optimizer": "ademamix", "beta3": 0.5}, "ademamix needs 0 < beta1 < beta3 < 1"),
        ({"optimizer": "schedulefree"}, "take schedule: constant"),
        ({"optimizer": "muon", "momentum": 1}, r"momentum 1.0 is not in \[0, 1\)"),
        (
            {"optimizer": "adafactor", "parametrisation": "mup", "base_width": 16},
            "mup has no rule for adafactor",
        ),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        spec_of(**options)
