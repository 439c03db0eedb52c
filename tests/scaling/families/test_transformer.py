"""The transformer's counts against torch, against the literature, and its dials."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from scaling.families import get_family
from scaling.families.transformer_defaults import default_heads, default_mlp_width

FAMILY = get_family("transformer")
SHAPES = [
    {"depth": 1, "width": 16},
    {"depth": 3, "width": 48, "heads": 3, "mlp": "swiglu", "norm": "layernorm"},
    {"depth": 2, "width": 64, "heads": 2, "tied": True, "context": 64, "vocab_size": 1000},
    {"depth": 2, "width": 64, "mlp_width": 100, "parametrisation": "mup", "context": 32},
    {"depth": 1, "width": 16, "vocab_size": 1000, "vocab_multiple": 128},
    {"depth": 1, "width": 16, "vocab_size": 1000, "vocab_multiple": 128, "tied": True},
]


@pytest.mark.parametrize("options", SHAPES)
def test_parameters_equal_the_built_module(options):
    config = FAMILY.resolve(options)
    model = FAMILY.build(config)
    cost = FAMILY.cost(config)
    assert cost.num_params == sum(p.numel() for p in model.parameters())
    blocks = sum(p.numel() for p in model.blocks.parameters() if p.ndim == 2)
    assert cost.num_params_block == blocks
    tables = model.embedding.weight.numel() * (1 if config.tied else 2)
    assert cost.num_params_non_embedding == cost.num_params - tables


@pytest.mark.parametrize("options", SHAPES)
def test_flops_equal_torchs_counter_on_the_meta_device(options):
    config = FAMILY.resolve(options)
    with torch.device("meta"):
        model = FAMILY.build(config)
        tokens = torch.zeros(2, config.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = model(tokens)
    forward = counter.get_total_flops()
    assert forward == FAMILY.cost(config).flops_forward * 2 * config.context
    with FlopCounterMode(display=False) as counter:
        logits.sum().backward()

    assert counter.get_total_flops() == 2 * forward
    assert FAMILY.cost(config).flops_exact == FAMILY.cost(config).flops_train


def test_the_small_gpt_of_the_documentation():
    config = FAMILY.resolve({"depth": 5, "width": 128, "context": 128, "vocab_size": 256})
    cost = FAMILY.cost(config)
    assert (cost.flops_forward, cost.flops_train) == (2_359_296, 7_077_888)
    assert cost.num_params_block == 983_040


def test_rotary_gpt2_presets_have_the_published_sizes_without_their_position_table():
    # Hugging Face's gpt2: 124,439,808 with 1024 positions and 124,440,576-124,439,808 biases;
    # here no positions, no biases: subtract 1024 d and (9 d per block: qkv 3, out 1, mlp 5).
    sizes = {"gpt2-124m-rotary": 124_439_808, "gpt2-1558m-rotary": 1_557_611_200}
    for preset, published in sizes.items():
        config = FAMILY.resolve(FAMILY.presets[preset])
        d, depth = config.width, config.depth
        assert FAMILY.cost(config).num_params == published - 1024 * d - 9 * d * depth


def test_kaplan_and_chinchilla_conventions_against_their_papers_formulas():
    config = FAMILY.resolve({"depth": 5, "width": 128, "context": 128, "vocab_size": 256})
    cost = FAMILY.cost(config)
    layers, d, context, vocab, ff, heads = 5, 128, 128, 256, 512, 4
    # Kaplan et al. 2020, table 1, with N the non-embedding parameters (norms included here).
    n = cost.num_params_non_embedding
    assert cost.flops_kaplan == 3 * (2 * n + 2 * layers * context * d)
    # Hoffmann et al. 2022, appendix F, for one sequence.
    t = context
    attention = (
        2 * 3 * t * d * d + 2 * t * t * d + 3 * heads * t * t + 2 * t * t * d + 2 * t * d * d
    )
    dense = 2 * t * (d * ff + d * ff)
    forward = 2 * t * vocab * d + layers * (attention + dense) + 2 * t * d * vocab
    assert cost.flops_chinchilla * t == 3 * forward


@settings(max_examples=40, deadline=None)
@given(st.floats(1.5e4, 1e9))
def test_target_size_is_met_within_the_width_step(target):
    config = FAMILY.resolve({"num_params": target})
    assert FAMILY.cost(config).num_params == pytest.approx(target, rel=0.35)
    if target > 1e6:
        assert FAMILY.cost(config).num_params == pytest.approx(target, rel=0.08)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1e7, 1e11), st.sampled_from([(32, 32), (64, 64), (128, 100)]), st.sampled_from([0, 1])
)
def test_large_models_of_a_target_size_have_heads_of_one_width(target, dials, swiglu):
    head_dim, aspect = dials
    mlp = ("gelu", "swiglu")[swiglu]
    config = FAMILY.resolve(
        {"num_params": target, "head_dim": head_dim, "aspect": aspect, "mlp": mlp}
    )
    assert FAMILY.cost(config).num_params == pytest.approx(target, rel=0.08)
    assert config.width / config.depth == pytest.approx(aspect, rel=0.4)
    if config.width >= 8 * head_dim:
        assert config.width == config.heads * head_dim


def test_a_padded_vocabulary_is_counted_with_and_without():
    # nanoGPT's 50,304 rows, 393 x 128, in place of GPT-2's 50,257.
    plain = FAMILY.presets["gpt2-124m-rotary"]
    cost, padded = (
        FAMILY.cost(FAMILY.resolve({**plain, **more})) for more in ({}, {"vocab_multiple": 128})
    )
    whole = FAMILY.cost(FAMILY.resolve({**plain, "vocab_size": 50304}))
    counts = {"num_params_unpadded": cost.num_params, "macs_unpadded": cost.macs_forward}
    assert padded == replace(whole, **counts)
    # It prints "number of parameters: 123.59M", without positions and with norms of a gain alone.
    gains = FAMILY.resolve({**plain, "vocab_multiple": 128, "norm": "rmsnorm"})
    assert f"{FAMILY.cost(gains).num_params / 1e6:.2f}" == "123.59"
    found = padded.run_columns(1000)
    assert found["num_params"] == cost.num_params + 47 * 768
    assert found["num_params_unpadded"] == cost.num_params
    assert found["flops_unpadded"] == cost.run_columns(1000)["flops"] == 1000 * cost.flops_train
    assert "num_params_unpadded" not in cost.to_dict()
    assert not [name for name in cost.run_columns(1) if name.endswith("_unpadded")]


@pytest.mark.parametrize(
    ("width", "expected"),
    # 8/3 of the width below 640, which is 10 x 64; then the nearest multiple of 64.
    {
        8: 21,
        100: 267,
        232: 619,
        240: 640,
        248: 640,
        256: 704,
        512: 1344,
        768: 2048,
        4096: 10944,
    }.items(),
)
def test_swiglu_is_as_wide_as_kernels_like_where_that_is_near(width, expected):
    config = FAMILY.resolve({"depth": 1, "width": width, "mlp": "swiglu"})
    assert config.mlp_width == expected
    assert config.mlp_width == pytest.approx(8 / 3 * width, rel=0.05)
    asked = {"depth": 1, "width": width, "mlp": "swiglu", "mlp_ratio": "2.66"}
    assert FAMILY.resolve(asked).mlp_width == round(2.66 * width)


@given(st.integers(1, 50_000))
def test_swiglu_never_narrows_as_the_model_widens(width):
    widths = [default_mlp_width(w, gated=True, ratio=None) for w in (width, width + 8)]
    assert widths == sorted(widths)


def test_depth_dial_sets_width_and_heads():
    config = FAMILY.resolve({"depth": 4})
    assert (config.width, config.heads, config.mlp_width) == (128, 4, 512)
    assert FAMILY.resolve({"depth": 4, "aspect": 64}).width == 256


@given(st.integers(1, 5000), st.integers(1, 80))
def test_heads_are_the_most_that_fit(width, head_dim):
    fitting = (h for h in range(1, width + 1) if width % h == 0 and width // h % 2 == 0)
    assert default_heads(width, head_dim) == max(
        (h for h in fitting if width // h >= head_dim), default=1
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 2, "width": 99999999977}, r"width 99999999977 is not in \[1, 1e\+06\]"),
        ({"depth": 2, "width": 1e300}, "width 1e.300 is not in"),
        ({"depth": 2, "width": -5}, "width -5 is not in"),
        ({"depth": 1e9}, r"depth 1000000000.0 is not in \[1, 10000\]"),
        ({"depth": 9999, "aspect": 1e5}, "width 999900000 is not in"),
        ({"depth": 2, "head_dim": 0}, "head_dim 0 is not in"),
        ({"depth": 2, "context": 10**400}, "context is too large"),
        ({"num_params": 1e18}, r"num_params 1e\+18 is not in \[1, 1e\+13\]"),
        ({"num_params": 0}, "num_params 0 is not in"),
    ],
)
def test_absurd_sizes_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        FAMILY.resolve(options)


def test_impossible_target_names_the_nearest():
    with pytest.raises(ValueError, match="out of reach: the nearest model has"):
        FAMILY.resolve({"num_params": 100})


def test_model_sees_no_future_token():
    torch.manual_seed(0)
    model = FAMILY.build(FAMILY.resolve({"depth": 2, "width": 32, "context": 16})).eval()
    tokens = torch.randint(0, 256, (1, 16))
    changed = tokens.clone()
    changed[0, 9] = (changed[0, 9] + 1) % 256
    with torch.no_grad():
        one, other = model(tokens), model(changed)
    assert torch.equal(one[0, :9], other[0, :9])
    assert not torch.allclose(one[0, 9:], other[0, 9:])


def test_rotary_attention_depends_on_relative_position_only():
    from scaling.families.parts_module import rotate

    torch.manual_seed(0)
    model = FAMILY.build(FAMILY.resolve({"depth": 1, "width": 32, "context": 64}))
    q, k = torch.randn(2, 1, 1, 1, 32)
    cos, sin = model.cos, model.sin

    def score(i, j):
        return float(
            (
                rotate(q, cos[i : i + 1], sin[i : i + 1])
                * rotate(k, cos[j : j + 1], sin[j : j + 1])
            ).sum()
        )

    assert score(10, 3) == pytest.approx(score(50, 43), abs=1e-4)
    assert score(10, 3) != pytest.approx(score(10, 4), abs=1e-4)
