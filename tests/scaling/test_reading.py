"""What is declared beside a field of what reads it is so: the trained result says it, both ways."""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import torch

from scaling.base import OPTIMIZERS, SCHEDULES, as_read, unread
from scaling.data.info import DataInfo
from scaling.families import FAMILIES, get_family
from scaling.schedule import cooldown_start, lr_factor
from scaling.spec import RunSpec
from scaling.spec_parts import ScheduleSpec
from scaling.training.optim import make_optimizer

INFO = DataInfo("corpus", "0123456789abcdef", "token", 10**7, 10**6, vocab_size=256)
BASE = {"depth": 2, "width": 32, "num_tokens": 1 << 16, "lr": 0.005}


def resolve(**options):
    return RunSpec.resolve(info=INFO, **{**BASE, **options})


def trained(spec):
    """The weights after some steps of the spec's optimiser along a made-up gradient."""
    model = torch.nn.Linear(1, 1).double()
    for weight in model.parameters():
        torch.nn.init.constant_(weight, 1.5)
    optimizer = make_optimizer(spec, model)
    for step in range(20):
        for weight in model.parameters():
            weight.grad = torch.full_like(weight, math.sin(3.0 * step) + 0.2)
        optimizer.step()
    return [weight.item() for weight in model.parameters()]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimisers_read_what_is_declared(name):
    more = {"schedule": "constant"} if name == "schedulefree" else {}
    spec = resolve(optimizer=name, **more)
    for option, value in {"beta1": 0.999, "beta2": 0.9, "eps": 1e-3, "momentum": 0.5}.items():
        other = replace(spec, optim=replace(spec.optim, **{option: value}))
        is_unread = option in {found.name for found in unread(other.optim, {option: value})}
        assert (trained(other) == trained(spec)) == is_unread, option
        assert (other.as_read().run_id == spec.run_id) == is_unread, option
    if name not in ("adamw", "schedulefree"):  # these decay by themselves
        for weight_decay in (0.0, 0.1):
            spec = resolve(optimizer=name, weight_decay=weight_decay, **more)
            other = replace(spec, optim=replace(spec.optim, decay="coupled"))
            assert (trained(other) == trained(spec)) == (weight_decay == 0)
            assert (other.as_read() == spec) == (weight_decay == 0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_read_what_is_declared(name):
    def rates(schedule):
        factors = [lr_factor(schedule, step, 50, 10) for step in range(50)]
        return factors, cooldown_start(schedule, 50)

    plain = ScheduleSpec(schedule=name)
    for option, value in {
        "cooldown_fraction": 0.5,
        "final_lr_fraction": 0.1,
        "warmup_tokens": 100,
    }.items():
        other = replace(plain, **{option: value})
        assert (rates(other) == rates(plain)) == (as_read(other) == plain), option


def test_parametrisations_read_what_is_declared():
    def made(config):
        torch.manual_seed(0)
        module = get_family("transformer").build(config)
        scales = [group["lr_scale"] for group in module.param_groups()]
        return scales, module(torch.arange(32)[None]).tolist()

    reads = {
        "standard": (),
        "mup": ("base_width", "base_head_dim"),
        "completep": ("base_width", "base_head_dim", "base_depth"),
    }
    for tied in (False, True):
        for parametrisation, options in reads.items():
            config = resolve(parametrisation=parametrisation, tied=tied).model
            for option in reads["completep"]:
                other = replace(config, **{option: 16})
                same = made(other) == made(config)
                assert same == (as_read(other) == config) == (option not in options), option


# Another value of each option, the first that is allowed; shapes are read by what they shape.
OTHER = {
    bool: (True, False),
    float: (0.25, 0.5),
    int: (2, 4, 8, 16, 1),
    str: ("gelu", "relu", "batch", "layer", "lecun", "glorot", "small", "mean", "sincos", "max"),
}
MODELS = {
    "mlp": [{}, {"depth": 0}],
    "lenet": [{}, {"head_widths": []}],
    "vgg": [{"resolution": 32}, {"resolution": 32, "head_widths": []}],
    "resnet": [{"block": b, "norm": n} for b in ("bottleneck", "basic") for n in ("batch", "none")]
    + [{"block": "vanilla"}],
    "resnext": [{}, {"block": "basic"}],
    "anynet": [{}, {"block": "basic"}, {"block": "vanilla"}, {"norm": "none"}],
    "regnety": [{}],
    "efficientnet": [{}],
    "convnext": [{}],
    "vit": [{}, {"pool": "mean", "positions": "none"}],
    "alexnet": [
        {},
        {"head_widths": []},
        {"norm": "batch"},
        {"depths": [2], "widths": [8, 8], "kernels": [3, 3], "groups": [1, 1]},
    ],
    "nin": [{}],
    "googlenet": [{}, {"norm": "none", "resolution": 32}],
    "densenet": [{}, {"depths": [3]}],
    "genetic": [{}, {"head_widths": []}],
    "inception-resnet": [{}],
    "senet": [{}, {"se_ratio": 0.0}, {"norm": "none"}],
    "wrn": [{}, {"norm": "none"}],
    "nfnet": [{}],
    "mobilenet": [{}, {"activation": "relu"}],
    "swin": [{}],
    "dilated": [{}],
    "unet": [{"resolution": 32}],
}


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, many in MODELS.items() for o in many])
def test_image_families_read_what_is_declared(name, options):
    family = FAMILIES[name]
    config = family.resolve(options)
    assert as_read(config) == config
    compared = 0
    for f in fields(config):
        value = getattr(config, f.name)
        for other in OTHER.get(type(value), ()):
            try:
                model = replace(config, **{f.name: other})
                network = family.network(model)
            except ValueError:
                continue
            if other == value:
                continue
            is_unread = bool(unread(model, {f.name: other}))
            assert (network == family.network(config)) == is_unread, (f.name, other)
            assert family.network(as_read(model)) == network
            compared += 1
            break
    assert compared >= 5


# Old ids are those of the release in which all options were part of identity.
@pytest.mark.parametrize(
    ("options", "given", "old"),
    [
        ({}, {"momentum": 0.8}, "6d681dfe1e3b4481"),
        ({}, {"final_lr_fraction": 0.1}, "187c64260d11375f"),
        ({}, {"base_width": 32}, "bccdb0a87909edea"),
        ({"optimizer": "sgd"}, {"beta1": 0.8}, "3fe1d08bc5ad9727"),
        ({"optimizer": "sgd"}, {"eps": 1e-6}, "c74d6ba8e4fbbe36"),
        ({"schedule": "cosine"}, {"cooldown_fraction": 0.1}, "553e99a300186c41"),
    ],
)
def test_an_option_that_nothing_reads_is_refused_alone_and_old_runs_keep_their_ids(
    options, given, old
):
    spec = resolve(**options)
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"{name} {value} has no effect: it is read where .* is"):
        resolve(**options, **given)
    default = next(
        getattr(p, name) for p in (spec.model, spec.optim, spec.schedule) if hasattr(p, name)
    )
    assert resolve(**options, **{name: default}) == spec
    assert RunSpec.resolve(info=INFO, alone=False, **BASE, **options, **given) == spec

    written = spec.to_dict()
    part = next(part for part in written.values() if isinstance(part, dict) and name in part)
    part[name] = value
    found = RunSpec.from_dict(written)
    assert found.run_id == old != spec.run_id
    assert RunSpec.from_dict(found.to_dict()) == found
    assert found.as_read() == spec


def test_the_documentation_lists_what_is_not_always_read():
    kinds = {type(part) for part in vars(resolve()).values()} | {
        f.config for f in FAMILIES.values()
    }
    declared = {
        f.name
        for kind in filter(is_dataclass, kinds)
        for f in fields(kind)
        if "read_by" in f.metadata
    }
    page = Path(__file__).parents[2] / "docs" / "sweeps.md"
    table = page.read_text().split("| option | is read where |")[1].split("\n\n")[0]
    assert set(re.findall("`([^`]+)`", "".join(re.findall(r"\n\| (`.*?) \|", table)))) == declared


def test_the_refusal_says_what_would_read_it():
    with pytest.raises(ValueError) as refused:
        resolve(momentum=0.8)
    assert str(refused.value) == (
        "momentum 0.8 has no effect: it is read where optimizer is sgd, rmsprop or muon, and "
        "optimizer is adamw: leave momentum out, or change optimizer"
    )
