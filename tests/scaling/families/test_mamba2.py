"""Mamba-2: chunks against the step recurrence, the module and counts against other libraries'."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.families import get_family
from scaling.families.mamba2_module import chunked, recurrence
from scaling.spec import RunSpec
from scaling.training.loop import train

FAMILY = get_family("mamba2")
SMALL = {"depth": 2, "width": 16, "head_dim": 8, "state": 6, "chunk": 4, "context": 12}


@pytest.mark.parametrize("size", [1, 3, 4, 12])
def test_chunks_equal_the_step_recurrence(size):
    torch.manual_seed(0)
    x, key, query = torch.randn(2, 12, 3, 5), torch.randn(2, 12, 6), torch.randn(2, 12, 6)
    log_decay = -torch.rand(2, 12, 3) * 3
    given = [part.double().requires_grad_() for part in (x, log_decay, key, query)]
    one, other = recurrence(*given), chunked(*given, size)
    assert torch.allclose(one, other, atol=1e-5)
    weights = torch.randn_like(one)
    slopes = [torch.autograd.grad((y * weights).sum(), given) for y in (one, other)]
    for a, b in zip(*slopes, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"tied": True, "kernel": 2, "expand": 3}], ids=str)
def test_counts_equal_the_built_module(options):
    config = FAMILY.resolve({**SMALL, **options, "vocab_size": 11})
    cost = FAMILY.cost(config)
    with torch.device("meta"):
        model = FAMILY.build(config)
        tokens = torch.zeros(2, 12, dtype=torch.long)
    assert cost.num_params == sum(p.numel() for p in model.parameters())
    with FlopCounterMode(display=False) as counter:
        model(tokens)
    assert counter.get_total_flops() == cost.flops_forward * 24


def test_the_models_that_were_released():
    # The parameters of the checkpoints state-spaces/mamba2-130m and mamba2-2.7b.
    for label, size in {"130m": 128_989_632, "2.7b": 2_702_599_680}.items():
        config = FAMILY.resolve(FAMILY.presets[label])
        assert FAMILY.cost(config).num_params == size


def test_the_forward_pass_is_transformers(recwarn):
    transformers = pytest.importorskip("transformers")
    config = FAMILY.resolve({**SMALL, "vocab_size": 11})
    peer = transformers.Mamba2ForCausalLM(
        transformers.Mamba2Config(
            vocab_size=11,
            hidden_size=16,
            state_size=6,
            num_hidden_layers=2,
            expand=2,
            head_dim=8,
            num_heads=4,
            n_groups=1,
            conv_kernel=4,
            chunk_size=4,
            tie_word_embeddings=False,
            layer_norm_epsilon=1e-5,
            time_step_limit=(0.0, float("inf")),
        )
    ).eval()
    torch.manual_seed(0)
    model = FAMILY.build(config)
    names = {
        "norm.weight": "norm.weight",
        "enter.weight": "mixer.in_proj.weight",
        "convolution.weight": "mixer.conv1d.weight",
        "convolution.bias": "mixer.conv1d.bias",
        "log_rate": "mixer.A_log",
        "step_bias": "mixer.dt_bias",
        "shortcut": "mixer.D",
        "gated_norm.weight": "mixer.norm.weight",
        "leave.weight": "mixer.out_proj.weight",
    }
    its = peer.state_dict()
    for i, block in enumerate(model.blocks):
        for name, weight in block.state_dict().items():
            its[f"backbone.layers.{i}.{names[name]}"].copy_(weight)
    its["backbone.embeddings.weight"].copy_(model.embedding.weight.detach())
    its["backbone.norm_f.weight"].copy_(model.norm.weight.detach())
    its["lm_head.weight"].copy_(model.head.weight.detach())
    tokens = torch.randint(0, 11, (2, 10))
    with torch.no_grad():
        assert torch.allclose(model(tokens), peer(tokens).logits, atol=1e-4)


def test_a_token_is_not_seen_before_it_comes():
    model = FAMILY.build(FAMILY.resolve(SMALL))
    tokens = torch.randint(0, 256, (1, 12))
    other = tokens.clone()
    other[0, 7] = (other[0, 7] + 1) % 256
    one, two = model(tokens), model(other)
    assert torch.equal(one[:, :7], two[:, :7]) and not torch.equal(one[:, 7], two[:, 7])


def test_a_run_learns(tiny, tmp_path):
    options = {"family": "mamba2", "width": 16, "head_dim": 8, "state": 8, "chunk": 16}
    outcome = train(RunSpec.resolve(**{**tiny, **options}), tmp_path)
    assert outcome.status == "done" and outcome.loss < 3.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 16}, "no size: give depth and width"),
        ({"depth": 1, "width": 16, "head_dim": 5}, "head_dim 5 does not divide.*32.*take 4"),
        (
            {"depth": 1, "width": 16, "context": 100},
            "chunk 32 does not divide.* 100: take 25",
        ),
        ({"depth": 1, "num_params": 3}, "num_params 3 is out of reach"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        FAMILY.resolve(options)
