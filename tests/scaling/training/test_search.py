"""The search by gradients: its gradient against automatic differentiation, resuming, FLOPs."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from scaling.families import get_family
from scaling.run.journal import points, read_journal
from scaling.spec import RunSpec
from scaling.training.loader import Batch
from scaling.training.loop import train
from scaling.training.search import Search, _asking, _frozen_norms
from scaling.training.task import make_task

TINY = {
    "family": "darts_search",
    "data": "digits",
    "cells": 2,
    "width": 2,
    "nodes": 1,
    "operations": ["none", "skip_connect", "sep_conv_3x3", "avg_pool_3x3"],
    "optimizer": "sgd",
    "lr": 0.1,
    "batch_size": 8,
    "num_tokens": 64,
    "alpha_lr": 0.01,
}


def batches(seed, *, size=6):
    source = torch.Generator().manual_seed(seed)
    return [
        Batch(
            torch.randn(size, 1, 8, 8, generator=source, dtype=torch.float64),
            torch.randint(10, (size,), generator=source),
        )
        for _ in range(2)
    ]


@pytest.fixture
def search():
    spec = RunSpec.resolve(**TINY)
    task = make_task(spec, None, torch.device("cpu"))
    assert isinstance(task, Search)
    torch.manual_seed(1)
    model = get_family("darts_search").build(spec.model).double()
    model.alphas.normal_()
    task._forward = lambda model, inputs: model(inputs)  # in float64 to the end
    yield task, model
    task.close()


def test_the_second_order_gradient_is_that_through_one_unrolled_step(search):
    task, model = search
    one, other = batches(0)
    lr = 0.05
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with _frozen_norms(model), _asking(model.alphas):
        found = task.second_order(model, one, other, lr, epsilon=1e-6)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

    # The same by automatic differentiation: the step is part of the graph.
    alphas = model.alphas.detach().clone().requires_grad_()
    weights = {k: v.detach().clone().requires_grad_() for k, v in model.named_parameters()}

    def loss(weights, batch):
        logits = functional_call(model, {**weights, "alphas": alphas}, (batch.inputs,))
        return F.cross_entropy(logits, batch.labels)

    with _frozen_norms(model):
        gradients = torch.autograd.grad(
            loss(weights, one), list(weights.values()), create_graph=True
        )
        stepped = {k: w - lr * g for (k, w), g in zip(weights.items(), gradients, strict=True)}
        (exact,) = torch.autograd.grad(loss(stepped, other), alphas)
        (first,) = torch.autograd.grad(
            loss({k: w.detach() for k, w in stepped.items()}, other), alphas
        )
    assert (found - exact).norm() < 1e-5 * exact.norm()
    assert (first - exact).norm() > 1e-3 * exact.norm()  # what is left out would be seen


def test_alphas_move_as_by_torchs_adam():
    spec = RunSpec.resolve(**TINY)
    model = get_family("darts_search").build(spec.model)
    theirs = torch.nn.Parameter(model.alphas.clone())
    optimizer = torch.optim.Adam([theirs], lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3)
    for _ in range(5):
        theirs.grad = torch.randn_like(theirs)
        model.update_alphas(theirs.grad.clone())
        optimizer.step()
    assert torch.allclose(model.alphas, theirs, atol=1e-6)


def products(function):
    """MACs of all products, those of both passes, that ``function()`` does."""
    total = 0

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            nonlocal total
            out = op(*args, **(kwargs or {}))
            name = op._schema.name
            if name == "aten::convolution":
                total += out.numel() * args[1][0].numel()
            elif name == "aten::convolution_backward":
                total += sum(args[10][:2]) * args[0].numel() * args[2][0].numel()
            elif name in ("aten::addmm", "aten::mm"):
                left, right = args[-2:]
                total += left.numel() * right.shape[1]
            return out

    with Count():
        function()
    return total


@pytest.mark.parametrize("order", [1, 2])
def test_flops_of_a_step_are_those_that_torch_does(order):
    spec = RunSpec.resolve(**TINY, order=order)
    task = make_task(spec, None, torch.device("cpu"))
    model = get_family("darts_search").build(spec.model)
    done = products(lambda: task.loss(model, 0).backward())
    task.close()
    forward, gradients = (
        (2, 1) if order == 1 else (5, 3)
    )  # passes, and those that a bias has one of
    done += 8 * 10 * (forward + gradients)
    assert spec.cost.flops_exact * 8 == 2 * done
    assert spec.cost.flops_train == (5 if order == 1 else 13) * spec.cost.flops_forward


def test_a_search_that_is_stopped_goes_on_to_the_same_cell(tmp_path):
    spec = RunSpec.resolve(**TINY, curve_tokens=20, final_tokens=40)
    whole = train(spec, tmp_path / "whole").values
    calls = itertools.count()
    stopped = train(spec, tmp_path / "parts", should_stop=lambda: next(calls) == 3)
    assert stopped.status == "stopped"
    parts = train(spec, tmp_path / "parts").values
    same = ("loss", "eval/validation/loss", "eval/alphas/entropy", "found/normal", "found/reduce")
    assert [parts[name] for name in same] == [whole[name] for name in same]
    assert parts["flops_spent"] == spec.flops
    assert math.log(4) - 0.1 < parts["eval/alphas/entropy"] < math.log(4)
    assert "eval/alphas/entropy" in points(read_journal(tmp_path / "parts"))[-1]


def test_weights_and_alphas_learn_from_different_examples():
    task = make_task(RunSpec.resolve(**TINY), None, torch.device("cpu"))
    ours, others = task.data.train_inputs, task.validation.data.train_inputs
    assert len(ours) + len(others) == 1437
    assert (ours[0] != others[0]).any()
    assert task.epoch_size == len(ours)
    assert task.validation.data.heldout_inputs is others
    task.close()
