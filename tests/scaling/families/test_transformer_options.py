"""The transformer's options: counts against torch, masks against dense ones, refusals."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.families import get_family, transformer_module
from scaling.families.attention_module import visible
from scaling.families.attention_patterns import Pattern, kinds_of
from scaling.families.base import nearest_shapes as shapes
from scaling.training.blocks import blocks_of, recompute

FAMILY = get_family("transformer")
SMALL = {"depth": 2, "width": 32, "context": 16, "vocab_size": 50}
EXPERTS = {"experts": 4, "experts_per_token": 2}
OPTIONS = {
    "grouped queries": {"heads": 4, "kv_heads": 2, "score_width": 9},
    "one key head": {"heads": 4, "kv_heads": 1, "head_width": 12, "biases": "qkv"},
    "norm of heads": {"qk_norm": "head", "norm": "layernorm", "kv_heads": 1, "heads": 2},
    "norm of all": {"qk_norm": "full", "norm_position": "branch", "norm": "rmsnorm+1"},
    "post": {"norm_position": "post", "mlp": "relu", "biases": "all", "positions": "learned"},
    "sandwich": {"norm_position": "sandwich", "mlp": "geglu", "attention_cap": 5, "logit_cap": 3},
    "parallel": {"parallel": True, "rope_fraction": 0.5, "biases": "all"},
    "alibi": {"positions": "alibi", "mlp": "relu2", "kv_heads": 1, "heads": 2},
    "sinusoidal": {"positions": "sinusoidal", "scale_embedding": True},
    "none": {"positions": "none", "position_offset": 0, "tied": True, "scale_tied": False},
    "latent": {"kv_latent": 10, "heads": 2, "rope_head_width": 6},
    "latent windows": {"kv_latent": 10, "query_latent": 12, "attention": "local", "window": 4},
    "windows": {"attention": "local, global", "window": 4, "kv_heads": 1, "heads": 2},
    "wide windows": {"attention": "local", "window": 9},
    "strided": {"attention": "local, column", "positions": "alibi"},
    "fixed": {"attention": "block, summary", "summary": 2, "attention_cap": 4},
    "documents": {"document_separator": 3},
    "strided documents": {"attention": "local, column", "document_separator": 3},
    "ahead": {"predict_ahead": 3, "z_loss": 1e-3},
    "experts": {**EXPERTS, "balance": "aux", "router_z_loss": 1e-3},
    "shared experts": {
        **EXPERTS,
        "expert_width": 20,
        "shared_experts": 1,
        "shared_gate": True,
        "router": "sigmoid",
        "balance": "bias",
        "dense_layers": 1,
        "mlp": "swiglu",
    },
    "narrow tables": {"embedding_width": 12, "tied": True, "norm_position": "post"},
    "narrow tables ahead": {"embedding_width": 12, "predict_ahead": 2, "vocab_multiple": 64},
    "groups": {**EXPERTS, "experts": 8, "router_groups": 4, "router_groups_kept": 2},
    "places": {**EXPERTS, "expert_capacity": 1.25},
}


@pytest.fixture(params=OPTIONS)
def config(request):
    return FAMILY.resolve({**SMALL, **OPTIONS[request.param]})


def test_counts_equal_torchs_of_the_built_module(config):
    cost = FAMILY.cost(config)
    with torch.device("meta"):
        model = FAMILY.build(config)
        tokens = torch.zeros(2, config.context, dtype=torch.long)
    assert cost.num_params == sum(p.numel() for p in model.parameters())
    targets = (tokens,) if config.predict_ahead > 1 else ()
    with FlopCounterMode(display=False) as counter:
        out = model(tokens, *targets)
    forward = counter.get_total_flops()
    biases = cost.macs_without_input_gradient
    assert forward == 2 * (cost.macs_forward - biases) * tokens.numel()
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * forward
    assert cost.flops_exact == 6 * cost.macs_forward - 2 * biases
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused


def test_no_token_sees_a_later_one(config):
    torch.manual_seed(0)
    model = FAMILY.build(config).eval()
    tokens = torch.randint(0, 50, (1, 16))
    changed = tokens.clone()
    changed[0, 9] = (changed[0, 9] + 1) % 50
    with torch.no_grad():
        one, other = model(tokens), model(changed)
    torch.testing.assert_close(one[0, :9], other[0, :9], rtol=0, atol=1e-6)
    assert not torch.allclose(one[0, 9:], other[0, 9:])


def test_losses_are_those_of_the_logits_also_in_parts_and_recomputed(config, monkeypatch):
    torch.manual_seed(0)
    model = FAMILY.build(config)
    tokens = torch.randint(0, 50, (2, 16))
    logits = model(tokens).float().flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, tokens.flatten(), reduction="none")
    found = model(tokens, tokens, mean=False)
    torch.testing.assert_close(found.flatten(), expected)
    whole = model(tokens, tokens)
    if not config.z_loss and config.predict_ahead == 1 and config.balance != "aux":
        torch.testing.assert_close(whole, expected.mean())
    whole.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(transformer_module, "rows_at_once", lambda classes: 8)
    recompute(blocks_of(model))
    model(tokens, tokens).backward()
    for one, p in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(p.grad, one)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(tokens, tokens)
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0)


def sees(kind, w, c, query, key):
    """Child et al. 2019, sec. 4.2, eq. by eq.; a window is the last w positions, itself among."""
    if key > query:
        return False
    rules = {
        "global": True,
        "local": query - key < w,
        "column": (query - key) % w == 0,
        "block": key // w == query // w,
        "summary": key % w >= w - c and key // w < query // w,
    }
    return rules[kind]


@pytest.mark.parametrize("time", [16, 19])
@pytest.mark.parametrize("window", [1, 4, 5, 12])
@pytest.mark.parametrize("kind", ["global", "local", "column", "block", "summary"])
def test_patterns_are_dense_attention_under_their_masks(kind, window, time):
    pattern = Pattern(kind, window, summary=min(2, window))
    at, seen, allowed = visible(pattern, time, torch.device("cpu"))
    found = {
        (int(at[g, i]), int(seen[g, j]))
        for g, i, j in allowed.nonzero().tolist()
        if at[g, i] < time
    }
    wanted = {
        (i, j)
        for i in range(time)
        for j in range(time)
        if sees(kind, window, pattern.summary, i, j)
    }
    assert found == wanted
    assert allowed.numel() == pattern.pairs(time)  # what is computed, masked or not


@pytest.mark.parametrize("kind", ["local", "column", "block"])
def test_a_window_as_long_as_the_context_is_dense_attention(kind):
    torch.manual_seed(0)
    whole = FAMILY.build(FAMILY.resolve(SMALL)).eval()
    window = 1 if kind == "column" else 16
    part = FAMILY.build(FAMILY.resolve({**SMALL, "attention": kind, "window": window})).eval()
    part.load_state_dict(whole.state_dict())
    tokens = torch.randint(0, 50, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(part(tokens), whole(tokens))


def test_documents_are_attended_to_as_if_alone():
    torch.manual_seed(0)
    config = FAMILY.resolve({**SMALL, "document_separator": 3, "positions": "alibi"})
    model = FAMILY.build(config).eval()
    tokens = torch.randint(4, 50, (2, 16))
    tokens[:, 6] = 3
    with torch.no_grad():
        whole, second = model(tokens), model(tokens[:, 7:])
    torch.testing.assert_close(whole[:, 7:], second)


def test_sinusoids_in_closed_form():
    model = FAMILY.build(FAMILY.resolve({**SMALL, "positions": "sinusoidal"}))
    # Vaswani et al. 2017, sec. 3.5, sines and cosines apart.
    assert model.sinusoids[5, 3] == pytest.approx(math.sin(5 / 10000 ** (6 / 32)), abs=1e-6)
    assert model.sinusoids[5, 16 + 3] == pytest.approx(math.cos(5 / 10000 ** (6 / 32)), abs=1e-6)


def test_z_loss_and_tokens_further_ahead_by_hand():
    torch.manual_seed(0)
    config = FAMILY.resolve({**SMALL, "predict_ahead": 2, "ahead_weight": 0.5, "z_loss": 0.1})
    model = FAMILY.build(config)
    tokens = torch.randint(0, 50, (2, 17))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    logits = model(inputs)
    trunk = model.embedding(inputs)
    for block in model.blocks:
        trunk = block(trunk, model.cos, model.sin)
    far = model.norm(model.ahead[0](trunk, model.cos, model.sin)) @ model.head.weight.T

    def loss(logits, targets):
        logs = logits.log_softmax(-1).gather(-1, targets[..., None])
        return -logs.mean() + 0.1 * logits.logsumexp(-1).square().mean()

    expected = loss(logits, targets) + 0.5 * loss(far[:, :-1], targets[:, 1:])
    torch.testing.assert_close(model(inputs, targets), expected)
    # What is held out is judged by the next token alone.
    alone = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model(inputs, targets, mean=False).mean(), alone)


def test_attention_costs_by_kind():
    # Child et al. 2019: n sqrt(n) with a window of sqrt(n); n^2 for all pairs; n for windows.
    def pairs(n, attention, window):
        kinds = kinds_of(attention, 2)
        return sum(Pattern(kind, window).pairs(n) for kind in kinds)

    for root in (32, 64):
        n = root**2
        assert pairs(n, "global", 0) == 2 * n**2
        assert pairs(n, "local, column", root) == 3 * n * root
        assert pairs(n, "block, summary", root) == 2 * n * root
        assert pairs(n, "local", 16) == 2 * 2 * 16 * n


def test_counts_by_hand():
    shape = {"depth": 3, "width": 64, "heads": 8, "kv_heads": 2, "context": 256, "vocab_size": 100}
    config = FAMILY.resolve({**shape, "attention": "local*2, global", "window": 16})
    cost = FAMILY.cost(config)
    d, t, m = 64, 256, 256
    matrices = d * (d + 2 * 2 * 8) + d * d + 2 * d * m
    assert cost.num_params_block == 3 * matrices
    assert cost.macs_forward == 3 * matrices + 100 * d + 2 * d * (2 * 32 + t)
    assert cost.macs_dense == 3 * matrices + 100 * d + 3 * 2 * d * t
    assert cost.kv_cache == 2 * 2 * 8 * (16 + 16 + t)
    assert cost.run_columns(10)["flops_dense"] == 60 * cost.macs_dense


def test_experts_by_hand():
    config = FAMILY.resolve({**SMALL, **EXPERTS, "expert_width": 24, "shared_experts": 1})
    cost = FAMILY.cost(config)
    expert = 2 * 32 * 24
    attention, norms, tables = 4 * 32**2, 5 * 32, 2 * 50 * 32
    blocks = 2 * (attention + 32 * 4 + 5 * expert)
    assert cost.num_params == blocks + norms + tables
    assert cost.num_params_active == cost.num_params - 2 * 2 * expert
    assert cost.macs_forward == blocks - 2 * 2 * expert + 50 * 32 + 2 * 2 * 16 * 32
    assert cost.flops_6nd == 6 * cost.num_params_active
    assert cost.run_columns(1)["num_params_active"] == cost.num_params_active


def test_a_size_can_be_asked_of_active_parameters():
    config = FAMILY.resolve({"num_params_active": 1e6, "experts": 8, "head_dim": 32})
    assert FAMILY.cost(config).num_params_active == pytest.approx(1e6, rel=0.1)
    assert FAMILY.cost(config).num_params > 2e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 12, "width": 96, "kv_heads": 5}, "kv_heads 5 does not divide heads 12: take 4"),
        ({"heads": 3}, "width 32 is no multiple of heads 3: take width 30 or heads 2$"),
        ({"heads": 3, "positions": "none"}, "heads 3: take width 33 or heads 2$"),
        ({"width": 60, "heads": 4}, "rotary positions need pairs: take width 56 or heads 3"),
        ({"attention": "local", "window": 17}, "window 17 is longer than context 16: take 16"),
        ({"attention": "local"}, "asks for a window: give window, 16 at most"),
        ({"window": 4}, "window 4 has no effect"),
        ({"attention": "lokal", "window": 4}, "did you mean 'local'"),
        ({"attention": "local*x, global", "window": 4}, "write local"),
        ({"attention": "summary", "window": 4, "summary": 5}, "summary 5 is longer than window 4"),
        ({"summary": 2}, "summary 2 has no effect: attention 'global' has no layer of kind"),
        ({"experts": 4, "experts_per_token": 5}, "more than experts 4: take 4"),
        ({"experts": 4, "experts_per_token": 1}, "its router learns nothing"),
        ({"experts": 4, "dense_layers": 2}, "leaves no layer of 2 with experts: take 1"),
        ({"experts": 8, "router_groups": 3}, "does not divide experts 8: take 2"),
        ({"experts": 8, "router_groups": 2}, "kept 3 is no choice of 2 groups: take 1 at most"),
        ({"experts": 8, "router_groups": 8, "experts_per_token": 4}, "more than the 3 experts of"),
        ({"experts": 4, "biases": "all"}, "experts have no biases"),
        ({"experts": 4, "parametrisation": "mup"}, "mup has no rule for a router"),
        ({"head_width": 15}, "head width 15 is odd; rotary positions need pairs: take 16"),
        ({"heads": 1, "rope_fraction": 0.3}, "is 9.6; rotary positions need pairs: take 0.3125"),
        ({"heads": 1, "rope_fraction": 1.5}, "take 1$"),
        ({"norm_position": "middle"}, "'middle': valid: branch, post, pre, sandwich"),
        ({"mlp": "swigl"}, "did you mean 'swiglu'"),
        ({"parallel": True, "norm_position": "post"}, "no sum between them"),
        ({"document_separator": 50}, r"no token of 50: take one in \[0, 49\]"),
        ({"predict_ahead": 17}, "more than context 16: take 16"),
        ({"embedding_width": 8, "parametrisation": "mup"}, "mup has no rule for embedding_width 8"),
        ({"z_loss": -1}, "z_loss -1.0 is below 0"),
        ({"kv_heads": 0.5}, "not a whole number"),
        ({"kv_latent": 8, "rope_head_width": 5}, "rope_head_width 5 is odd; .* take 6"),
        ({"kv_latent": 8, "qk_norm": "head"}, "goes with qk_norm none alone"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FAMILY.resolve({**SMALL, **options})


@pytest.mark.parametrize("multiple", [1, 2])
def test_no_valid_shape_is_nearer_than_those_that_are_named(multiple):
    def valid(width, heads):
        return width % heads == 0 and (width // heads) % multiple == 0

    for width, heads in itertools.product(range(1, 25), range(1, 9)):
        said = re.fullmatch(r"take width (\d+)(?: or heads (\d+))?", shapes(width, heads, multiple))
        near, other = said.groups()
        off = min(abs(w - width) for w in range(1, 80) if valid(w, heads))
        assert valid(int(near), heads)
        assert abs(int(near) - width) == off
        able = [abs(h - heads) for h in range(1, width + 1) if valid(width, h)]
        assert (other is None) == (not able)
        if other:
            assert valid(width, int(other))
            assert abs(int(other) - heads) == min(able)
