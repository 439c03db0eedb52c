"""Recurrent models: counts and outputs against torch's, cells against their equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.families import get_family
from scaling.families.recurrent import CELLS

FAMILY = get_family("recurrent")
SHAPES = [
    {"width": 8},
    {"width": 16, "depth": 3, "cell": "gru", "tied": True},
    {"width": 16, "depth": 1, "cell": "rnn"},
    {"width": 24, "projection": 8},
    {"width": 24, "projection": 8, "tied": True},
    *({"width": 8, "cell": cell} for cell in CELLS if "-" in cell or cell[0] == "m"),
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_counts_equal_torchs_own(options):
    config = FAMILY.resolve({**options, "vocab_size": 11, "context": 4})
    cost, model = FAMILY.cost(config), FAMILY.build(config)
    assert cost.num_params == sum(p.numel() for p in model.parameters())
    matrices = sum(p.numel() for p in model.blocks.parameters() if p.ndim == 2)
    assert cost.num_params_block == matrices
    with torch.device("meta"):  # on a CPU an LSTM is one operation that torch does not count
        counted, tokens = FAMILY.build(config), torch.zeros(2, 4, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = counted(tokens)
    assert counter.get_total_flops() == cost.flops_forward * 8
    assert logits.shape == (2, 4, 11)
    grouped = [p for group in model.param_groups() for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters()}
    assert len(grouped) == len(list(model.parameters()))


@pytest.mark.parametrize(("kind", "cell"), [("LSTM", "lstm"), ("GRU", "gru"), ("RNN", "rnn")])
def test_layers_are_torchs(kind, cell):
    config = FAMILY.resolve({"width": 12, "depth": 2, "cell": cell, "vocab_size": 7})
    model = FAMILY.build(config)
    peer = getattr(torch.nn, kind)(12, 12, num_layers=2, batch_first=True)
    for i, block in enumerate(model.blocks):
        for name, weight in block.layer.named_parameters():
            getattr(peer, name.replace("l0", f"l{i}")).data.copy_(weight.data)
    tokens = torch.randint(0, 7, (3, 5))
    expected = model.head(peer(model.embedding(tokens))[0])
    assert torch.allclose(model(tokens), expected, atol=1e-6)


def test_published_sizes():
    # Zaremba et al. 2014, sec. 4.1 and table 1: 66M parameters of the large model; Jozefowicz et
    # al. 2016 (arXiv 1602.02410), table 1, call the medium one 20M.
    sizes = {"medium": 19.8e6, "large": 66.0e6}
    for label, size in sizes.items():
        config = FAMILY.resolve(FAMILY.presets[f"zaremba-{label}"])
        assert FAMILY.cost(config).num_params == pytest.approx(size, rel=0.005)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(kind, x, h, weights):
    """Jozefowicz et al. 2015, page 6, in numpy; ``weights`` by the paper's letters."""
    w = weights
    if kind == "mut1":
        z = sigmoid(w["xz"] @ x + w["bz"])
        r = sigmoid(w["xr"] @ x + w["hr"] @ h + w["br"])
        return np.tanh(w["hh"] @ (r * h) + np.tanh(x) + w["bh"]) * z + h * (1 - z)
    if kind == "mut2":
        z = sigmoid(w["xz"] @ x + w["hz"] @ h + w["bz"])
        r = sigmoid(x + w["hr"] @ h + w["br"])
    else:
        z = sigmoid(w["xz"] @ x + w["hz"] @ np.tanh(h) + w["bz"])
        r = sigmoid(w["xr"] @ x + w["hr"] @ h + w["br"])
    return np.tanh(w["hh"] @ (r * h) + w["xh"] @ x + w["bh"]) * z + h * (1 - z)


NAMES = {
    "mut1": (("xz", "xr"), ("hh", "hr"), ("bz", "br"), "bh"),
    "mut2": (("xz", "xh"), ("hh", "hz", "hr"), ("bz", "bh"), "br"),
    "mut3": (("xz", "xh", "xr"), ("hh", "hz", "hr"), ("bz", "bh", "br"), None),
}


@pytest.mark.parametrize("kind", NAMES)
def test_mutants_are_as_published(kind):
    model = FAMILY.build(FAMILY.resolve({"width": 4, "depth": 1, "cell": kind}))
    cell = model.blocks[0]
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    xs, hs, biases, own = NAMES[kind]
    given = cell.from_input
    parts = dict(zip(xs, given.weight.detach().numpy().reshape(-1, 4, 4), strict=True))
    parts |= dict(zip(hs, cell.from_output.weight.detach().numpy().reshape(-1, 4, 4), strict=True))
    parts |= dict(zip(biases, given.bias.detach().numpy().reshape(-1, 4), strict=True))
    if own:
        parts[own] = cell.bias.detach().numpy()
    x, h = torch.randn(1, 3, 4), torch.randn(1, 4)
    y, (after,) = cell(x, (h,))
    state = h[0].numpy()
    for t in range(3):
        state = by_hand(kind, x[0, t].numpy(), state, parts)
        assert y[0, t].detach().numpy() == pytest.approx(state, abs=1e-5)
    assert after[0].detach().numpy() == pytest.approx(state, abs=1e-5)


@pytest.mark.parametrize("missing", ["i", "f", "o"])
def test_an_lstm_without_a_gate_is_torchs_with_the_gate_open(missing):
    model = FAMILY.build(FAMILY.resolve({"width": 4, "depth": 1, "cell": f"lstm-{missing}"}))
    cell = model.blocks[0]
    peer = torch.nn.LSTM(4, 4, batch_first=True)
    rows = torch.cat([torch.arange(4) + 4 * i for i, g in enumerate("ifgo") if g != missing])
    gate = torch.arange(4) + 4 * "ifgo".index(missing)
    with torch.no_grad():
        for weight, own in (
            (peer.weight_ih_l0, cell.from_input),
            (peer.weight_hh_l0, cell.from_output),
        ):
            weight[rows], weight[gate] = own.weight, 0.0
        peer.bias_hh_l0.zero_()
        peer.bias_ih_l0[rows], peer.bias_ih_l0[gate] = cell.from_input.bias, 100.0
    x, state = torch.randn(2, 5, 4), (torch.randn(2, 4), torch.randn(2, 4))
    y, after = cell(x, state)
    expected, ends = peer(x, tuple(part[None] for part in state))
    assert torch.allclose(y, expected, atol=1e-6)
    assert all(torch.allclose(a, b[0], atol=1e-6) for a, b in zip(after, ends, strict=True))
    biased = cell.from_input.bias.detach()
    assert (biased == 1).sum() == (0 if missing == "f" else 4)


@pytest.mark.parametrize(
    "options", [*({"cell": cell} for cell in CELLS), {"projection": 4}], ids=str
)
def test_state_goes_on_where_it_was_left(options):
    model = FAMILY.build(FAMILY.resolve({"width": 8, **options}))
    tokens = torch.randint(0, 256, (2, 9))
    first, state = model.carry(tokens[:, :4], model.start(2))
    second, _ = model.carry(tokens[:, 4:], state)
    assert torch.allclose(torch.cat([first, second], dim=1), model(tokens), atol=1e-6)


def test_a_target_size_is_met():
    cost = FAMILY.cost(FAMILY.resolve({"num_params": 3e5, "depth": 2, "tied": True}))
    assert cost.num_params == pytest.approx(3e5, rel=0.03)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no size: give width or num_params"),
        ({"width": 0}, r"width 0 is not in \[1, 65536\]"),
        ({"width": 8, "cell": "lstmf"}, "unknown cell 'lstmf'.*lstm-f"),
        ({"width": 8, "projection": 8}, r"projection 8 is not in \[1, 7\]"),
        ({"num_params": 10}, "num_params 10 is out of reach"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        FAMILY.resolve(options)
