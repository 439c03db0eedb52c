"""Schedules against their closed forms and torch's own; every optimiser takes a step."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scaling.base.spec_names import ONLY_DECOUPLED, OPTIMIZERS, SCHEDULES
from scaling.schedule import cooldown_start, lr_factor
from scaling.spec import RunSpec
from scaling.spec_parts import ScheduleSpec
from scaling.training import optim
from scaling.training.alike import ensemble_key
from scaling.training.optim import make_optimizer, set_lr
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


ELSEWHERE = {"adafactor", "muon", "ademamix", "schedulefree"}  # by hand in test_optimizers


def quadratic(name, steps=20, weight_decay=0.0):
    """Losses on the way down a quadratic, and the weights at its end."""
    options = {"optimizer": name, "lr": 0.01, "weight_decay": weight_decay, "schedule": "constant"}
    spec = RunSpec.resolve(info=INFO, **{**BASE, **options})
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = make_optimizer(spec, model)
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    losses = []
    for step in range(steps):
        if step == steps // 2:
            optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, model.weight.detach()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_lowers_a_quadratic(name):
    losses, _ = quadratic(name)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_without_the_compilers_wrapping_steps_are_torchs(name, monkeypatch):
    ours = quadratic(name, weight_decay=0.1)
    monkeypatch.setattr(optim, "_uncompiled", lambda kind: kind)
    theirs = quadratic(name, weight_decay=0.1)
    assert ours[0] == theirs[0]
    assert torch.equal(ours[1], theirs[1])


HEAVY = ("torch._dynamo", "sympy", "mlflow", "pandas", "scipy", "matplotlib", "transformers")
RUNS = f"""
import sys
from pathlib import Path
from scaling import RunSpec, train
from scaling.base import OPTIMIZERS
for name in OPTIMIZERS:
    spec = RunSpec.resolve(
        data="teacher:features=8", family="mlp", optimizer=name, width=8, depth=1, batch_size=8,
        num_tokens=16, lr=0.01, weight_decay=0, schedule="constant",
    )
    assert train(spec, Path(sys.argv[1]) / name, device="cpu").status == "done"
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_a_worker_loads_nothing_heavy_but_torch(tmp_path):
    """Its compiler alone takes as long as torch itself: half of the start of a worker."""
    command = [sys.executable, "-c", RUNS, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


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


class Two(torch.nn.Module):
    """A weight that decays, and learns at half the rate, and one that does not decay."""

    def __init__(self, start):
        super().__init__()
        self.slow = torch.nn.Parameter(torch.tensor([[start]], dtype=torch.float64))
        self.free = torch.nn.Parameter(torch.tensor([[start]], dtype=torch.float64))

    def param_groups(self):
        return [
            {"params": [self.slow], "lr_scale": 0.5, "decay": True},
            {"params": [self.free], "lr_scale": 1.0, "decay": False},
        ]


B1, B2, EPS, MU = 0.8, 0.9, 1e-3, 0.7


def updates(name):
    """The update of ``name`` over lr, gradient by gradient, as its paper (and torch) has it."""
    m = v = u = 0.0
    product = 1.0
    g = yield
    for t in range(1, 10**6):
        m, mean = B1 * m + (1 - B1) * g, (B1 * m + (1 - B1) * g) / (1 - B1**t)
        v, square = B2 * v + (1 - B2) * g * g, (B2 * v + (1 - B2) * g * g) / (1 - B2**t)
        if name in ("adam", "adamw"):
            g = yield mean / (math.sqrt(square) + EPS)
        elif name == "adamax":
            u = max(B2 * u, abs(g) + EPS)
            g = yield mean / u
        elif name == "nadam":
            now, then = (B1 * (1 - 0.5 * 0.96 ** (s * 0.004)) for s in (t, t + 1))
            product *= now
            ahead = (1 - now) / (1 - product) * g + then / (1 - product * then) * m
            g = yield ahead / (math.sqrt(square) + EPS)
        elif name == "radam":
            most = 2 / (1 - B2) - 1
            length = most - 2 * t * B2**t / (1 - B2**t)
            if length > 5:
                r = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
                g = yield mean * math.sqrt(r * (1 - B2**t)) / (math.sqrt(v) + EPS)
            else:
                g = yield mean
        elif name == "sgd":
            u = MU * u + g
            g = yield u
        elif name == "rmsprop":
            product = 0.99 * (0 if t == 1 else product) + 0.01 * g * g
            u = MU * u + g / (math.sqrt(product) + EPS)
            g = yield u
        elif name == "adagrad":
            u += g * g
            g = yield g / (math.sqrt(u) + EPS)
        elif name == "lion":
            before, u = u, B2 * u + (1 - B2) * g
            g = yield math.copysign(1.0, B1 * before + (1 - B1) * g)


@pytest.mark.parametrize("decay", ["decoupled", "coupled"])
@pytest.mark.parametrize("name", sorted({*OPTIMIZERS} - ELSEWHERE))
def test_weight_decay_is_the_recursion_by_hand(name, decay):
    if decay == "coupled" and name in ONLY_DECOUPLED:
        return  # refused, see test_spec
    chosen = {"optimizer": name, "decay": decay, "weight_decay": 0.6}
    for takes in OPTIMIZERS[name][1]:
        betas = {"beta1": B1, "beta2": B2}
        chosen |= {"betas": betas, "eps": {"eps": EPS}, "momentum": {"momentum": MU}}[takes]
    model = Two(1.5)
    optimizer = make_optimizer(RunSpec.resolve(info=INFO, **{**BASE, **chosen}), model)
    slow = free = 1.5
    one, other = updates(name), updates(name)
    next(one), next(other)
    for step in range(30):
        lr, gradient = 0.1 / (1 + step / 9), math.sin(3.0 * step) + 0.2
        set_lr(optimizer, lr)
        for weight in (model.slow, model.free):
            weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        if decay == "decoupled":
            slow = (1 - lr * 0.6) * slow - lr / 2 * one.send(gradient)
        else:
            slow -= lr / 2 * one.send(gradient + 0.6 / 0.5 * slow)
        free -= lr * other.send(gradient)
        assert model.slow.item() == pytest.approx(slow, abs=1e-6)
        assert model.free.item() == pytest.approx(free, abs=1e-6)


def test_sgd_under_a_constant_gradient_has_its_closed_form():
    chosen = {"optimizer": "sgd", "weight_decay": 0.5, "momentum": 0.0, "lr": 0.1}
    model = Two(2.0)
    optimizer = make_optimizer(RunSpec.resolve(info=INFO, **{**BASE, **chosen}), model)
    for step in range(1, 200):
        model.slow.grad = torch.full_like(model.slow, 0.3)
        optimizer.step()
        shrunk = (1 - 0.1 * 0.5) ** step
        end = -0.3 * 0.05 / (0.1 * 0.5)
        assert model.slow.item() == pytest.approx(2.0 * shrunk + end * (1 - shrunk), abs=1e-6)
    assert model.free.item() == 2.0  # it never had a gradient


def test_nesterov_under_a_constant_gradient_has_its_closed_form():
    chosen = {"optimizer": "sgd", "weight_decay": 0.0, "momentum": 0.8, "lr": 0.1, "nesterov": True}
    spec = RunSpec.resolve(info=INFO, **{**BASE, **chosen})
    model = Two(2.0)
    optimizer = make_optimizer(spec, model)
    rate = 0.1 * optimizer.param_groups[0]["lr_scale"]
    end = 2.0
    for step in range(1, 100):
        model.slow.grad = torch.full_like(model.slow, 0.3)
        optimizer.step()
        velocity = 0.3 * (1 - 0.8**step) / (1 - 0.8)
        end -= rate * (0.3 + 0.8 * velocity)
        assert model.slow.item() == pytest.approx(end, abs=1e-5)
    assert ensemble_key(spec) is None  # the stacked SGD has no such step


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_torchs_sgd(nesterov):
    chosen = {"optimizer": "sgd", "weight_decay": 0.0, "momentum": 0.9, "lr": 0.1}
    spec = RunSpec.resolve(info=INFO, **{**BASE, **chosen, "nesterov": nesterov})
    model = Two(2.0)
    ours = make_optimizer(spec, model)
    (group,) = [g for g in ours.param_groups if any(p is model.slow for p in g["params"])]
    theirs = torch.nn.Parameter(model.slow.detach().clone())
    sgd = torch.optim.SGD([theirs], 0.1 * group["lr_scale"], 0.9, nesterov=nesterov)
    for gradient in (0.3, -1.0, 0.7, 0.0, 2.0):
        model.slow.grad, theirs.grad = (torch.full_like(theirs, gradient) for _ in range(2))
        ours.step()
        sgd.step()
        assert torch.equal(model.slow, theirs)


def test_nesterov_is_part_of_a_run_only_where_it_is_said():
    sgd = {**BASE, "optimizer": "sgd"}
    plain = RunSpec.resolve(info=INFO, **sgd)
    assert RunSpec.resolve(info=INFO, **sgd, nesterov=False).run_id == plain.run_id
    assert RunSpec.resolve(info=INFO, **sgd, nesterov=True).run_id != plain.run_id
    with pytest.raises(ValueError, match=r"nesterov needs a momentum, and that is 0: take 0.9"):
        RunSpec.resolve(info=INFO, **sgd, nesterov=True, momentum=0.0)
    with pytest.raises(ValueError, match=r"nesterov True has no effect: .* where optimizer is sgd"):
        RunSpec.resolve(info=INFO, **BASE, nesterov=True)


def test_what_has_no_gradient_does_not_decay():
    model = Two(2.0)
    chosen = {**BASE, "optimizer": "adam", "weight_decay": 0.5}
    optimizer = make_optimizer(RunSpec.resolve(info=INFO, **chosen), model)
    optimizer.step()
    assert model.slow.item() == 2.0


def test_adam_with_decoupled_decay_is_adamw():
    models = [Two(1.5), Two(1.5)]
    for name, model in zip(("adam", "adamw"), models, strict=True):
        chosen = {**BASE, "optimizer": name, "weight_decay": 0.5}
        optimizer = make_optimizer(RunSpec.resolve(info=INFO, **chosen), model)
        for step in range(20):
            for weight in (model.slow, model.free):
                weight.grad = torch.full_like(weight, math.cos(step))
            optimizer.step()
    assert models[0].slow.item() == pytest.approx(models[1].slow.item(), rel=1e-12)
    assert models[0].free.item() == models[1].free.item()
