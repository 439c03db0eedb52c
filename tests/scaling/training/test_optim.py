"""Schedules against their closed forms and torch's own; every optimiser takes a step."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scaling.base.spec_names import OPTIMIZERS, SCHEDULES
from scaling.schedule import cooldown_start, lr_factor
from scaling.spec import RunSpec, ScheduleSpec
from scaling.training.optim import make_optimizer
from tests.scaling.test_spec import BASE, INFO


def test_cosine_equals_torchs():
    schedule = ScheduleSpec(schedule="cosine", final_lr_fraction=0.1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    for step in range(50):
        assert lr_factor(schedule, step, 50, 1) == pytest.approx(peer.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        peer.step()


def test_wsd_is_warmup_constant_then_one_minus_sqrt():
    schedule = ScheduleSpec(warmup_tokens=100, cooldown_fraction=0.25)
    factors = [lr_factor(schedule, step, 100, 10) for step in range(100)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factors[10:75] == [1.0] * 65
    assert cooldown_start(schedule, 100) == 75
    assert factors[75:] == pytest.approx([1 - math.sqrt(i / 25) for i in range(25)])


@given(
    st.sampled_from(SCHEDULES),
    st.integers(1, 500),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 10**5),
)
def test_factors_stay_in_the_unit_interval(name, num_steps, cooldown, final, warmup):
    schedule = ScheduleSpec(name, warmup, cooldown, final)
    for step in range(num_steps):
        assert 0 <= lr_factor(schedule, step, num_steps, 100) <= 1 + 1e-12


@given(st.integers(1, 400), st.integers(1, 400))
def test_wsd_trunks_agree_before_either_cooldown(one, other):
    schedule = ScheduleSpec(warmup_tokens=70)
    for step in range(min(cooldown_start(schedule, one), cooldown_start(schedule, other))):
        assert lr_factor(schedule, step, one, 10) == lr_factor(schedule, step, other, 10)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_lowers_a_quadratic(name):
    spec = RunSpec.resolve(info=INFO, **{**BASE, "optimizer": name, "lr": 0.01, "weight_decay": 0})
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = make_optimizer(spec, model)
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_weight_decay_leaves_embeddings_and_gains_alone():
    from scaling.families import get_family

    spec = RunSpec.resolve(info=INFO, **BASE)
    model = get_family("transformer").build(spec.model)
    decayed = {
        id(p)
        for group in make_optimizer(spec, model).param_groups
        if group["weight_decay"]
        for p in group["params"]
    }
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and "embedding" not in name
        assert (id(parameter) in decayed) == matrix, name
