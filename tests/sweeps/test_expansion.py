"""From a sweep file to runs: exact counts, identity, order, constraints."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.spec import RunSpec
from sweeps.design import design
from sweeps.document import Document
from sweeps.expansion import expand
from sweeps.sweep import Sweep

GRID = """
    name: x
    fixed: {depth: 2, context: 64, lr: 0.01}
    grid: {product: {width: [16, 32], num_tokens: [1e5, 2e5]}}
"""


def training_flops(depth, width, context, vocab=256):
    """2 FLOPs a multiply-add of blocks, head and attention, times 3 for training."""
    block = depth * 12 * width**2
    return 3 * (2 * (block + vocab * width) + 4 * depth * context * width)


def test_grid_counts_are_exact(sweep):
    found = sweep(GRID)
    assert [(e.spec.model.width, e.spec.train.num_tokens) for e in found] == [
        (16, 99840),  # the nearest whole number of steps of 8 x 64 tokens
        (16, 200192),
        (32, 99840),
        (32, 200192),
    ]
    for entry in found:
        per_token = training_flops(2, entry.spec.model.width, 64)
        assert entry.spec.flops == entry.columns["flops"] == per_token * entry.spec.train.num_tokens


def test_isoflop_spends_the_budget_to_half_a_step(expanded):
    found = expanded("""
        name: x
        fixed: {context: 64, batch_size: 4, lr: 0.01}
        isoflop: {budgets: {log: [1e11, 1e12, 3]}, sizes: {depth: [1, 2, 3], width: [16, 32, 48]}}
    """)
    assert len(found.sweep) == 9
    assert sorted(set(found.budgets.values())) == [1e11, pytest.approx(3.16227766e11), 1e12]
    for entry in found.sweep:
        model = entry.spec.model
        step = training_flops(model.depth, model.width, 64) * 4 * 64
        assert abs(entry.spec.flops - found.budgets[entry.run_id]) <= step / 2


def test_a_run_knows_its_budget_which_is_no_part_of_its_identity(sweep, tmp_path):
    found = sweep("""
        name: x
        fixed: {context: 64, lr: 0.01}
        isoflop: {budgets: [1e11, 1e12], sizes: {depth: [1], width: [16, 32]}}
    """)
    assert [entry.columns["flops_asked"] for entry in found] == [1e11, 1e11, 1e12, 1e12]
    for entry in found:
        assert RunSpec.from_dict(entry.spec.to_dict()).run_id == entry.run_id
        assert entry.columns["flops"] == pytest.approx(entry.columns["flops_asked"], rel=0.05)
    (tmp_path / "sweep.jsonl").write_text(found.to_jsonl())
    assert Sweep.read(tmp_path / "sweep.jsonl") == found
    assert not any("flops_asked" in entry.columns for entry in sweep(GRID))


def test_isoflop_sizes_by_target(sweep):
    found = sweep("""
        name: x
        fixed: {context: 64, lr: 0.01}
        isoflop: {budgets: [1e12], sizes: {num_params: [5e4, 2e5, 8e5]}}
    """)
    for entry, target in zip(found, [5e4, 2e5, 8e5], strict=True):
        assert entry.columns["num_params"] == pytest.approx(target, rel=0.1)


def test_ladder_has_its_ratios(sweep):
    found = sweep("""
        name: x
        seeds: [3, 4]
        fixed: {context: 64, batch_size: 1, lr: 0.01}
        ladder: {sizes: {depth: [1, 2], width: [16, 32]}, tokens_per_param: [5, 20]}
    """)
    ratios = [e.spec.train.num_tokens / e.spec.cost.num_params for e in found]
    assert ratios == pytest.approx([5, 5, 20, 20] * 2, rel=0.01)
    assert [e.spec.seed for e in found] == [3, 4] * 4


def test_rules_see_the_model_the_data_and_each_other(sweep):
    found = sweep("""
        name: x
        fixed: {context: 64, num_tokens: 1e6}
        grid: {product: {width: [64, 128]}}
        derive:
          depth: {rule: aspect, scale: 32}
          batch_size: {rule: step-law, scale: 0.5}
          warmup_tokens: olmo-ladder
          lr: {rule: power, of: batch_size, exponent: 0.5, scale: 0.001}
    """)
    assert [(e.spec.model.width, e.spec.model.depth) for e in found] == [(64, 2), (128, 4)]
    for entry in found:
        assert entry.spec.train.batch_size == round(0.5 * 0.58 * 1e6**0.571 / 64)
        assert entry.spec.optim.lr == pytest.approx(0.001 * entry.spec.train.batch_size**0.5)
        assert entry.spec.schedule.warmup_tokens == entry.spec.cost.num_params_non_embedding


def test_width_of_a_target_size_reaches_the_rate(sweep):
    found = sweep("""
        name: x
        fixed: {context: 64, num_tokens: 1e6, num_params: 1e5}
        grid: {product: {mlp: [gelu, swiglu]}}
        derive: {lr: {rule: 1/width, scale: 0.2}}
    """)
    for entry in found:
        assert entry.spec.optim.lr == pytest.approx(0.2 / entry.spec.model.width)


def test_resources_go_along_and_are_no_part_of_any_run(sweep, tmp_path):
    text = (
        "name: s\nfixed: {depth: 2, num_tokens: 1e5, lr: 0.1}\ngrid: {product: {width: [8, 16]}}\n"
    )
    plain = sweep(text)
    with_resources = sweep(text + "resources: {minutes: 60, rules: [{from_params: 1e6, cpus: 4}]}")
    assert [e.run_id for e in with_resources] == [e.run_id for e in plain]
    path = tmp_path / "s.jsonl"
    with_resources.write(path)
    assert Sweep.read(path) == with_resources
    assert Sweep.read(path).resources["rules"] == [{"from_params": 1e6, "cpus": 4}]


def test_presets_and_top_level_names(sweep):
    found = sweep("""
        name: x
        preset: gpt2-124m
        fixed: {num_tokens: 1e6, lr: 0.001}
        grid: {product: {dropout: [0, 0.1]}}
    """)
    assert {e.spec.model.width for e in found} == {768}
    assert {e.spec.model.vocab_size for e in found} == {256}


def test_runs_one_by_one_with_their_own_seeds(sweep):
    found = sweep("""
        name: x
        seeds: [7]
        fixed: {depth: 1, lr: 0.01, num_tokens: 1e5}
        runs:
          - {width: 16}
          - {width: 16, seed: 9}
          - {width: 32, num_tokens: 2e5}
    """)
    assert [(e.spec.model.width, e.spec.seed) for e in found] == [(16, 7), (16, 9), (32, 7)]


def test_seeds_of_weights_and_of_data_vary_by_themselves(sweep, tmp_path):
    text = GRID.replace("num_tokens: [1e5, 2e5]", "data_seed: [0, 1]").replace(
        "lr: 0.01", "lr: 0.01, num_tokens: 1e5"
    )
    found = sweep(text + "    seeds: [0, 1]\n")
    seeds = [(e.spec.seed, e.spec.order_seed) for e in found]
    assert seeds == 2 * [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [e.columns["data_seed"] for e in found] == 2 * [0, 0, 1, 1]
    names = [e.name.split(" ", 2)[2] for e in found][:4]
    assert names == [f"seed={seed} data_seed={other}" for other in (0, 1) for seed in (0, 1)]
    found.write(tmp_path / "sweep.jsonl")
    assert Sweep.read(tmp_path / "sweep.jsonl") == found


def test_equal_runs_are_done_once_and_counted(expanded):
    found = expanded(
        """
        name: x
        fixed: {context: 64, num_tokens: 1e6, lr: 0.01}
        grid: {product: {num_params: [100000, 100001, 400000], tied: [false, "false"]}}
        """
    )
    assert len(found.sweep) == 2
    assert found.repeated == 4
    assert found.asked == 6


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_the_file(info, shuffler: random.Random):
    axes = {"width": [16, 32, 48], "num_tokens": [1e5, 2e5], "mlp": ["gelu", "swiglu"]}
    content = {
        "name": "x",
        "fixed": {"depth": 2, "context": 64},
        "derive": {"lr": {"rule": "1/width", "scale": 0.2}, "warmup_tokens": "olmo-ladder"},
        "seeds": [0, 1],
        "grid": {"product": axes},
    }

    def ids(value):
        return [e.run_id for e in expand(design(Document(value)), info=info).sweep]

    def shuffled(value):
        if isinstance(value, dict):
            items = list(value.items())
            shuffler.shuffle(items)
            return {key: shuffled(item) for key, item in items}
        if isinstance(value, list):
            return shuffler.sample(value, len(value))
        return value

    first = ids(content)
    assert first == ids(content)
    assert set(first) == set(ids(shuffled(content)))
    assert len(set(first)) == 24


def test_constraints_leave_out_and_count(expanded):
    text = GRID + "    seeds: [0, 1, 2]\n    constraints: {num_params: {max: 2e4}}\n"
    found = expanded(text)
    assert len(found.sweep) == 6
    assert found.asked == 12
    assert [str(left) for left in found.left_out] == [
        "6 runs left out: num_params above the max 20000 (nearest: 4.112e+04)"
    ]


@pytest.mark.parametrize(
    ("bound", "kept"),
    [
        ("num_tokens: {min: 200192}", 2),
        ("num_tokens: {min: 200193, max: 1e9}", 0),
        ("tokens_per_param: {max: 3}", 1),
        ("steps: {max: 195}", 2),
        ("flops: {max: 1.2e10}", 1),
        ("num_params_non_embedding: {max: 10000}", 2),
        ("memory_bytes: {max: 1e9}", 4),
    ],
)
def test_every_quantity(expanded, bound, kept):
    text = GRID + f"    constraints: {{{bound}}}\n"
    if kept:
        assert len(expanded(text).sweep) == kept
    else:
        with pytest.raises(
            ValueError, match=r"the constraints leave no run: .*nearest: 2\.002e\+05"
        ):
            expanded(text)


def test_memory_counts_weights_gradients_adam_and_activations(expanded):
    # Width 16: 14,416 parameters; a token has 2 (6 x 16 + 64) + 256 activations, a step 512 tokens.
    size = 16 * 14_416 + 2 * 4 * (2 * (6 * 16 + 64) + 256) * 512
    for limit, widths in ((size - 1, None), (size, {16})):
        text = GRID + f"    constraints: {{memory_bytes: {{max: {limit}}}}}\n"
        if widths is None:
            with pytest.raises(ValueError, match=f"nearest: {size:.4g}".replace("+", ".")):
                expanded(text)
        else:
            assert {e.spec.model.width for e in expanded(text).sweep} == widths
