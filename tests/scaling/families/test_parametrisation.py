"""muP and CompleteP: the papers' tables, the standard one at the base, coordinate checks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from scaling.base import OPTIMIZERS
from scaling.data.info import DataInfo
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training import optimizers
from scaling.training.optim import make_optimizer
from scaling.training.optimizers import orthogonalised

FAMILY = get_family("transformer")
INFO = DataInfo("x", "0" * 16, "token", 10**6, 10**5, vocab_size=8)
CONTEXT = 8
STEPS = 4
RANK = STEPS * 2 * CONTEXT  # the most that gradients of so few tokens add up to
RULED = tuple(name for name in OPTIMIZERS if name != "adafactor")  # which is refused
RATES = {"sgd": 0.4, "rmsprop": 0.002}  # about as fast as 0.008 for the others


def generator(seed):
    return torch.Generator().manual_seed(seed)


def built(seed=0, **options):
    """A model, its optimiser, and two sequences to learn."""
    sized = {"depth": 2, "width": 64, "context": CONTEXT, "num_tokens": 4096}
    rate = {"lr": RATES.get(options.get("optimizer", "adamw"), 0.008)}
    if options.get("optimizer") == "schedulefree":
        rate |= {"schedule": "constant"}
    spec = RunSpec.resolve(info=INFO, **{**sized, **rate, **options})
    torch.manual_seed(seed)
    model = FAMILY.build(spec.model)
    tokens = torch.randint(8, (2, CONTEXT + 1), generator=generator(seed))
    return model, make_optimizer(spec, model), tokens


def learn(model, optimizer, tokens, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(tokens[:, :-1]).flatten(0, 1)
        torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten()).backward()
        optimizer.step()


def activations(model, tokens):
    """The output of every module, the logits as ``""``, and the inputs of the linear ones."""
    seen, inputs, hooks = {}, {}, []
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.ModuleList | torch.nn.Dropout):
            keep = lambda _, __, out, name=name: seen.update({name: out.clone()})  # noqa: E731
            hooks.append(module.register_forward_hook(keep))
        if isinstance(module, torch.nn.Linear):
            keep = lambda _, args, name=name: inputs.update({name: args[0].clone()})  # noqa: E731
            hooks.append(module.register_forward_pre_hook(keep))
    with torch.no_grad():
        model(tokens[:, :-1])
    for hook in hooks:
        hook.remove()
    return seen, inputs


def changes(**options):
    """The root mean square of what each activation changes in four steps.

    ``NAME alone``: by the weights of that layer, its input as it was. Without it a layer that
    learns too little is not seen, for its output still changes as its input does.
    """
    logs = []
    for seed in (0, 1):
        model, optimizer, tokens = built(seed, **options)
        before, inputs = activations(model, tokens)
        learn(model, optimizer, tokens, STEPS)
        moved = {k: out - before[k] for k, out in activations(model, tokens)[0].items()}
        with torch.no_grad():
            for k, x in inputs.items():
                moved[f"{k} alone"] = model.get_submodule(k)(x) - before[k]
        logs.append({k: math.log(change.square().mean()) / 2 for k, change in moved.items()})
    return {k: sum(log[k] for log in logs) / len(logs) for k in logs[0]}


def slopes(name, sizes, **options):
    """d log(change) / d log(size) of every activation that all sizes have."""
    found = [changes(**{name: size}, **options) for size in sizes]
    return {k: np.polyfit(np.log(sizes), [one[k] for one in found], 1)[0] for k in found[0]}


def steepest(name, sizes, **options):
    return max(abs(slope) for slope in slopes(name, sizes, **options).values())


WIDTHS = (64, 256, 1024)


def orthogonalised_in_its_span(matrix):
    """``orthogonalised`` of a matrix of small rank, in a basis of its columns: U V^T keeps bases.

    So Muon at width 1024 takes seconds, not a minute.
    """
    draws = torch.randn(matrix.shape[1], min(RANK, *matrix.shape), generator=generator(0))
    basis = torch.linalg.qr(matrix @ draws).Q
    return basis @ orthogonalised(basis.T @ matrix)


@pytest.fixture
def in_spans(monkeypatch):
    monkeypatch.setattr(optimizers, "orthogonalised", orthogonalised_in_its_span)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_activations_change_does_not_depend_on_width(optimizer, tied):
    kind = {"parametrisation": "mup", "base_width": 4, "optimizer": optimizer, "tied": tied}
    assert steepest("width", WIDTHS, **kind) < 0.1


@pytest.mark.slow  # the same with the other optimisers, and with heads that widen, not multiply
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        # nor adam, whose decay is decoupled too: it steps as adamw does
        *({"optimizer": name} for name in sorted({*RULED} - {"adamw", "sgd", "adam"})),
        {"heads": 2, "base_head_dim": 2, "mlp": "swiglu", "norm": "layernorm"},
    ],
)
def test_coordinate_check_of_the_others(options, tied, in_spans):
    kind = {"parametrisation": "mup", "base_width": 4, "tied": tied}
    assert steepest("width", WIDTHS, **kind, **options) < 0.1


def test_in_its_span_a_matrix_is_orthogonalised_alike(request):
    left, right = (torch.randn(1024, RANK, generator=generator(seed)) for seed in (0, 1))
    matrix = left @ right.T
    torch.testing.assert_close(orthogonalised_in_its_span(matrix), orthogonalised(matrix))
    whole = changes(width=128, optimizer="muon")
    request.getfixturevalue("in_spans")
    assert changes(width=128, optimizer="muon") == pytest.approx(whole, abs=1e-5)


@pytest.mark.slow  # muP holds with grouped queries, their norms, biases and positions too
def test_coordinate_check_with_options_of_todays_models():
    todays = {"kv_heads": 1, "qk_norm": "head", "norm_position": "sandwich", "biases": "all"}
    todays |= {"positions": "learned", "scale_embedding": True, "logit_cap": 5.0}
    assert steepest("width", WIDTHS, parametrisation="mup", base_width=4, **todays) < 0.15


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_coordinate_check_sees_the_standard_parametrisation(optimizer):
    assert steepest("width", (64, 256), optimizer=optimizer) > 0.3


def by_depth(parametrisation, **options):
    """Slopes of what the stream at the end of the blocks, and the logits, change over depth."""
    lr = {"adamw": 0.004, "sgd": 0.03}[options["optimizer"]]
    sized = {"width": 64, "base_width": 16, "lr": lr}
    found = []
    for depth in (16, 64):
        log = changes(depth=depth, parametrisation=parametrisation, **sized, **options)
        found.append((log[f"blocks.{depth - 1}"], log[""]))
    return (np.array(found[1]) - found[0]) / math.log(4)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_completep_changes_does_not_depend_on_depth(optimizer, tied):
    assert np.abs(by_depth("completep", optimizer=optimizer, tied=tied)).max() < 0.2


def test_what_mup_changes_depends_on_depth():
    assert by_depth("mup", optimizer="adamw")[0] > 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("head_dim", [8, 16, 32, 64])
def test_at_the_base_all_are_the_standard_one_to_the_bit(head_dim, tied, optimizer):
    options = {"head_dim": head_dim, "tied": tied, "optimizer": optimizer, "depth": 3}
    runs = [
        built(**options, **kind)
        for kind in (
            {},
            {"parametrisation": "mup"},
            {"parametrisation": "mup", "base_head_dim": head_dim},
            {"parametrisation": "completep", "base_depth": 3},
        )
    ]
    for run in runs:
        learn(*run, steps=2)
    standard, *others = (run[0] for run in runs)
    for other in others:
        for one, same in zip(standard.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, same)


def std(weight):
    return float(weight.detach().std())


def kind_of(name):
    if name == "embedding.weight":
        return "input"
    if name == "head.weight":
        return "output"
    return "vector" if "norm" in name else "hidden"


def stepped(gradient, **options):
    """How far a step takes each parameter whose gradient is ``gradient`` everywhere."""
    still = {"momentum": 0} if "momentum" in OPTIMIZERS[options["optimizer"]][1] else {}
    model, optimizer, _ = built(lr=0.25, weight_decay=0, **still, **options)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return {name: float((before[name] - p.detach()).mean()) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("optimizer", "table"),
    [
        # Yang et al. 2022, table 8, for four times the base width. The first steps of RAdam are
        # not divided by the gradients' size, so they are as SGD's.
        *((name, {"input": 4, "vector": 4, "output": 4, "hidden": 1}) for name in ("sgd", "radam")),
        *(
            (name, {"input": 1, "vector": 1, "output": 1, "hidden": 1 / 4})
            for name in sorted({*RULED} - {"sgd", "radam"})
        ),
    ],
)
@pytest.mark.parametrize("tied", [False, True])
def test_rates_are_those_of_table_8(optimizer, table, tied):
    base = stepped(1.0, optimizer=optimizer, tied=tied, parametrisation="mup")
    wide = stepped(1.0, optimizer=optimizer, tied=tied, parametrisation="mup", width=256)
    for name, step in base.items():
        assert wide[name] == pytest.approx(table[kind_of(name)] * step, rel=1e-4), name


def test_completep_has_the_rates_of_mup_and_gradients_over_the_depth():
    # Dey et al. 2025, table 1 with alpha = 1: Adam's rates do not depend on depth; eq. 40: eps of
    # hidden layers is over the depth and the width, that of the others over the width.
    kind = {"parametrisation": "completep", "optimizer": "adam", "eps": 0.5}
    base = stepped(1.0, **kind)
    wide = {"width": 256, "depth": 8}
    inner, outer = stepped(1 / 16, **kind, **wide), stepped(1 / 4, **kind, **wide)
    for name, step in base.items():
        found = (inner if name.startswith("blocks") else outer)[name]
        rate = 1 / 4 if kind_of(name) == "hidden" else 1
        assert found == pytest.approx(rate * step, rel=1e-4), name


@pytest.mark.parametrize("tied", [False, True])
def test_what_starts_and_what_multiplies_is_table_8(tied):
    base, wide = (built(parametrisation="mup", width=width, tied=tied)[0] for width in (64, 512))
    assert wide.logit_scale == base.logit_scale / 8
    starts = {"input": 1, "vector": 1, "output": 1, "hidden": 8**-0.5}
    for (name, one), other in zip(base.named_parameters(), wide.parameters(), strict=True):
        if one.ndim == 2:
            assert std(other) == pytest.approx(starts[kind_of(name)] * std(one), rel=0.1), name


def test_attention_is_over_the_head_width_whatever_grows():
    def scale(**options):
        return FAMILY.resolve({"depth": 1, "parametrisation": "mup", **options}).attention_scale

    assert scale(width=256, head_dim=16) == 1 / 4  # 16 heads of the base's width
    wider = scale(width=256, heads=4, base_head_dim=16)  # 64 = 4 x 16: 1/d, as 1/sqrt(16) at 16
    assert wider == pytest.approx(1 / 4 / 4)


def test_residual_branches_of_completep_are_over_the_depth_and_start_as_at_the_base():
    base, deep = (built(parametrisation="completep", depth=d)[0] for d in (2, 8))
    assert [block.scale for block in (*base.blocks, deep.blocks[0])] == [1, 1, 1 / 4]
    for name in ("attention.project", "perceptron.leave"):
        one, other = (model.blocks[1].get_submodule(name).weight for model in (base, deep))
        assert std(other) == pytest.approx(std(one), rel=0.1)


@pytest.mark.parametrize(
    ("optimizer", "decay"), [*((name, "decoupled") for name in RULED), ("sgd", "coupled")]
)
def test_a_step_decays_every_matrix_alike_at_every_width(optimizer, decay):
    for width in (64, 256):
        model, optimiser, _ = built(
            parametrisation="mup", width=width, optimizer=optimizer, decay=decay, lr=0.25
        )
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        for name, parameter in model.named_parameters():
            left = 1 - 0.25 * 0.1 if kind_of(name) in ("hidden", "output") else 1
            torch.testing.assert_close(parameter.detach(), left * before[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 128, "heads": 4}, r"give base_head_dim \(32 if heads are added .* 16 if they"),
        ({"width": 64, "head_dim": 16, "base_head_dim": 32}, "not the head width 16 of this model"),
        ({"base_head_dim": -1}, "base_head_dim -1 is not in"),
        ({"optimizer": "adam", "decay": "coupled"}, "mup has no rule for coupled decay with adam"),
        ({"parametrisation": "ntk"}, "none of standard, mup, completep"),
    ],
)
def test_what_cannot_be_a_base_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        built(**{"parametrisation": "mup", **options})
