"""Mixtures of experts: routing, places, balance; what the journal says of them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from scaling.data.info import DataInfo
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.alike import ensemble_key
from scaling.training.loop import train

FAMILY = get_family("transformer")
INFO = DataInfo("x", "0" * 16, "token", 10**6, 10**5, vocab_size=50)
SMALL = {"depth": 1, "width": 16, "context": 12, "vocab_size": 50, "experts": 5}


def layer(**options):
    torch.manual_seed(0)
    return FAMILY.build(FAMILY.resolve({**SMALL, **options})).blocks[0].perceptron


def by_hand(experts, x, k, places=10**9):
    """One token after the other, as Shazeer et al. 2017 have it, with the softmax of all scores."""
    out, taken, dropped = torch.zeros_like(x), {}, 0
    for b, t in [(b, t) for b in range(x.shape[0]) for t in range(x.shape[1])]:
        shares = F.softmax(experts.router.weight @ x[b, t], 0)
        best = shares.argsort(descending=True)[:k]
        for e in best.tolist():
            taken[b, e] = taken.get((b, e), 0) + 1
            if taken[b, e] > places:
                dropped += 1
                continue
            hidden = F.gelu(experts.enter[e] @ x[b, t])
            weight = shares[e] / (shares[best].sum() if k > 1 else 1)
            out[b, t] += weight * (experts.leave[e] @ hidden)
    return out, dropped / (x.shape[0] * x.shape[1] * k)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_every_token_goes_to_its_best_experts(k):
    experts = layer(experts_per_token=k, router_renormalise=k > 1)
    x = torch.randn(3, 12, 16)
    expected, _ = by_hand(experts, x, k)
    torch.testing.assert_close(experts(x), expected)
    assert experts.load.sum() == pytest.approx(5)


def test_a_token_chooses_within_the_groups_of_its_best_experts():
    options = {"experts": 8, "router_groups": 4, "router_groups_kept": 2, "experts_per_token": 3}
    experts = layer(**options, balance="bias")
    x = torch.randn(3, 12, 16)
    scores = F.softmax(x @ experts.router.weight.T, -1).view(3, 12, 4, 2)
    groups = scores.amax(-1).argsort(-1, descending=True)[..., :2]
    kept = torch.zeros(3, 12, 4).scatter(-1, groups, 1.0)[..., None]
    chosen = (scores * kept).flatten(-2).argsort(-1, descending=True)[..., :3]
    expected = F.one_hot(chosen, 8).sum((0, 1, 2))
    assert not torch.equal(chosen, scores.flatten(-2).argsort(-1, descending=True)[..., :3])
    experts(x)
    torch.testing.assert_close(experts.load, expected * 8 / expected.sum())


@pytest.mark.parametrize(("capacity", "places"), [(1.0, 5), (0.5, 3), (5.0, 12)])
def test_what_finds_no_place_passes_by(capacity, places):
    # ceil(c k T / E) with k = 2, T = 12 and E = 5, never more than T.
    experts = layer(experts_per_token=2, expert_capacity=capacity)
    x = torch.randn(3, 12, 16)
    expected, dropped = by_hand(experts, x, 2, places)
    torch.testing.assert_close(experts(x), expected)
    assert float(experts.dropped) == pytest.approx(dropped)
    assert (dropped > 0) == (capacity < 5)


def test_balance_and_z_loss_in_closed_form():
    switch = {"experts_per_token": 1, "router_renormalise": False}
    experts = layer(balance="aux", balance_weight=0.1, router_z_loss=0.2, **switch)
    x = torch.randn(2, 12, 16)
    experts(x)
    logits = x @ experts.router.weight.T
    shares = logits.softmax(-1)
    parts = []
    for one in shares:  # Fedus et al. 2022, eq. 4 to 6, of one sequence
        fractions = torch.bincount(one.argmax(-1), minlength=5) / 12
        parts.append(5 * (fractions * one.mean(0)).sum())
    z = logits.exp().sum(-1).log().square().mean()
    expected = 0.1 * torch.stack(parts).mean() + 0.2 * z
    torch.testing.assert_close(experts.penalty, expected)
    with torch.no_grad():
        experts.router.weight.zero_()  # in balance the loss is its weight (Fedus et al., sec. 2.2)
        experts(x)
    assert float(experts.penalty) == pytest.approx(0.1 + 0.2 * torch.tensor(5.0).log() ** 2)


def test_the_bias_moves_choices_without_a_loss_or_a_weight():
    experts = layer(balance="bias", balance_rate=0.05, router="sigmoid", experts_per_token=2)
    x = torch.randn(8, 12, 16) + 1.0  # some experts are everybody's
    fullest = []
    for _ in range(60):
        experts(x)
        fullest.append(float(experts.load.max()))
        before = experts.bias.clone()
        seen = experts.seen.clone()
        experts.rebalance()
        # Wang et al. 2024, alg. 1: b + u sign(mean - count).
        torch.testing.assert_close(experts.bias, before + 0.05 * (seen.mean() - seen).sign())
    assert fullest[-1] < 0.75 * fullest[0]
    assert float(experts.penalty) == 0
    assert "bias" in experts.state_dict() and "seen" not in experts.state_dict()


def test_an_objective_does_not_depend_on_how_a_batch_is_taken_apart():
    torch.manual_seed(0)
    options = {"balance": "aux", "router_z_loss": 0.1, "predict_ahead": 2, "z_loss": 0.1}
    model = FAMILY.build(FAMILY.resolve({**SMALL, **options}))
    tokens = torch.randint(0, 50, (4, 12))
    whole = model(tokens, tokens)
    parts = [model(rows, rows) for rows in tokens.split(1)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_runs_with_options_train_alone_and_have_ids_of_their_own():
    given = {"info": INFO, "depth": 1, "width": 16, "context": 12, "num_tokens": 960, "lr": 0.01}
    plain = RunSpec.resolve(**given)
    same = RunSpec.resolve(**given, kv_heads=1, head_width=16, experts=0, heads=1)
    assert same.run_id == RunSpec.resolve(**given, heads=1).run_id
    assert ensemble_key(plain) is not None
    assert not {"experts", "attention", "kv_heads"} & plain.to_dict()["model"].keys()
    for options in ({"experts": 4}, {"kv_heads": 1, "head_dim": 8}, {"z_loss": 1e-4}):
        other = RunSpec.resolve(**given, **options)
        assert other.run_id != plain.run_id
        assert RunSpec.from_dict(other.to_dict()) == other
        assert ensemble_key(other) is None


def test_the_journal_and_the_table_say_what_laws_of_experts_ask(tiny, tmp_path):
    options = {"experts": 8, "experts_per_token": 2, "expert_width": 16, "expert_capacity": 1.0}
    spec = RunSpec.resolve(**{**tiny, **options, "balance": "bias", "num_tokens": 2048})
    end = train(spec, tmp_path).values
    assert 1 < end["expert_load"] <= 4
    assert 0 < end["tokens_dropped"] < 1
    found = spec.columns()
    assert found["num_params"] > found["num_params_active"]
    assert (found["num_experts"], found["sparsity"]) == (8, 0.75)
    assert found["granularity"] == spec.model.mlp_width / 16
