"""The encoder of sequences with labels: counts, equality with torch's own layers, runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scaling.base import OptionError
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.built import assert_counted_exactly

FAMILY = get_family("encoder")
TEXT = {"input_shape": [20], "vocab_size": 256, "num_classes": 3, "depth": 2, "width": 24}
FRAMES = {"input_shape": [21, 5], "vocab_size": 0, "num_classes": 3, "depth": 1, "width": 16}
VOWELS = "vowels:words=3,frames=16,bands=6,examples=600,heldout=128,noise=0.2"


@pytest.mark.parametrize(
    "options",
    [
        TEXT,
        {**TEXT, "pool": "mean", "positions": "sincos"},
        FRAMES,
        {**FRAMES, "stack": 4, "positions": "none"},
        FAMILY.presets["bert-mini"],
    ],
)
def test_counts_equal_torchs_of_the_built_module(options):
    assert_counted_exactly(FAMILY, options)


def test_berts_blocks_have_the_published_number_of_parameters():
    # BERT-base's encoder: 85,054,464 in 12 layers (110M less embeddings and pooler); here a last
    # norm more.
    config = FAMILY.resolve({**FAMILY.presets["bert-base"], "pool": "mean", "positions": "none"})
    cost = FAMILY.cost(config)
    classes, table, norm = 768 * 10 + 10, 256 * 768, 2 * 768
    assert cost.num_params - classes - table - norm == 85_054_464
    assert cost.num_params - cost.num_params_non_embedding == table


def test_blocks_equal_torchs_encoder_with_its_weights():
    config = FAMILY.resolve({**TEXT, "positions": "none", "pool": "mean", "heads": 3})
    ours = FAMILY.build(config).eval()
    layer = nn.TransformerEncoderLayer(
        24, 3, 96, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(24, eps=1e-6), enable_nested_tensor=False
    ).eval()
    for i, block in enumerate(theirs.layers):
        (norm1, mix), (norm2, up, _, down) = (ours.body[2 * i + j].branch for j in (0, 1))
        pairs = [
            (block.norm1.weight, norm1.weight),
            (block.norm2.weight, norm2.weight),
            (block.self_attn.in_proj_weight, mix.query_key_value.weight),
            (block.self_attn.out_proj.weight, mix.project.weight),
            (block.linear1.weight, up.weight),
            (block.linear2.weight, down.weight),
        ]
        for to, source in pairs:
            to.data.copy_(source.data)
        for bias in (block.self_attn.in_proj_bias, block.self_attn.out_proj.bias):
            nn.init.zeros_(bias)
        nn.init.zeros_(block.linear1.bias), nn.init.zeros_(block.linear2.bias)
    tokens = torch.randint(0, 256, (4, 20))
    with torch.no_grad():
        found = ours(tokens)
        wanted = ours.head[-1](theirs(ours.stem[0](tokens)).mean(1))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_it_sees_what_comes_after():
    config = FAMILY.resolve(TEXT)
    model = FAMILY.build(config).eval()
    one = torch.zeros(1, 20, dtype=torch.long)
    other = one.clone()
    other[0, -1] = 7
    assert not torch.equal(model(one), model(other))


def test_a_run_learns_words(tmp_path):
    spec = RunSpec.resolve(
        family="encoder", data=VOWELS, depth=1, width=16, stack=2, lr=3e-3, batch_size=16,
        num_examples=3200, standardise=True, warmup_examples=160, curve_tokens=0,
    )  # fmt: skip
    assert train(spec, tmp_path).loss < 0.6  # by chance ln 3


@pytest.mark.parametrize(
    ("family", "data", "message"),
    [
        ("encoder", "digits", "labelled texts or frames"),
        ("encoder", "teacher", "labelled texts or frames"),
        ("vit", VOWELS, "sees images"),
    ],
)
def test_data_of_another_kind_is_refused(family, data, message):
    with pytest.raises(OptionError, match=message):
        RunSpec.resolve(family=family, data=data, num_examples=100, lr=1e-3)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(OptionError, match="of heads 5: take width 25 or heads 4"):
        FAMILY.resolve({**TEXT, "heads": 5})
