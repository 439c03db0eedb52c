"""From a sweep file to runs: exact counts, identity, order, constraints, messages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.base import OptionError
from scaling.spec import RunSpec
from sweeps.design import design
from sweeps.document import Document, parse_document
from sweeps.expansion import expand
from sweeps.load import load_sweep
from sweeps.sweep import Sweep

GRID = """
    name: x
    fixed: {depth: 2, context: 64, lr: 0.01}
    grid: {product: {width: [16, 32], num_tokens: [1e5, 2e5]}}
"""

RUNS = """\
name: x
fixed: {depth: 1, lr: 0.01, num_tokens: 1e5}
runs:
"""
BIG = "9" * 400
DRAWN = "design_space: {space: anynetx-a, models: 1}"


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
    with_resources = sweep(text + "resources: {minutes: 60, rules: [{from_params: 1e6, gpus: 1}]}")
    assert [e.run_id for e in with_resources] == [e.run_id for e in plain]
    path = tmp_path / "s.jsonl"
    with_resources.write(path)
    assert Sweep.read(path) == with_resources
    assert Sweep.read(path).resources["rules"] == [{"from_params": 1e6, "gpus": 1}]


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "sweep.yaml: a sweep file must be a mapping"),
        ("[1]", "sweep.yaml:1: a sweep file must be a mapping .* not a list"),
        ("name: x\ngird: {}\n", "sweep.yaml:2: unknown key 'gird': did you mean 'grid'"),
        ("1: x\n", "key 1 is a number .*, not a name"),
        ("name: x\n", "a sweep has one of grid, isoflop, ladder, .*runs; this one has none"),
        ("name: x\ngrid: {}\nladder: {}\n", "sweep.yaml:3: .* this one has both grid and ladder"),
        ("name: a/b\nruns: [{}]\n", "sweep.yaml:1: sweep name 'a/b' cannot name a folder"),
        ("name: 3\nruns: [{}]\n", "sweep.yaml:1: sweep name 3 cannot"),
        ("name: x\nfamily: [a]\nruns: [{}]\n", "sweep.yaml:2: family must be a name"),
        ("name: x\nfamily: transformr\nruns: [{}]\n", "sweep.yaml:2: unknown family 'transformr'"),
        ("name: x\ndata: a\nfixed:\n  data: b\nruns: [{}]\n", "sweep.yaml:4: data is given twice"),
        (
            "name: x\nfixed:\n  lr: 1\n  contxt: 3\nruns: [{}]\n",
            "sweep.yaml:4: unknown option 'con",
        ),
        ("name: x\ngrid:\n  product:\n    widht: 3\n", "sweep.yaml:4: .*did you mean 'width'"),
        ("name: x\nruns:\n  - depth: 1\n  - dept: 1\n", "sweep.yaml:4: .*did you mean 'depth'"),
        ("name: x\ngrid: {product: {seed: [1]}}\n", "list seeds under seeds"),
        ("name: x\ngrid: {product: {fingerprint: [a]}}\n", "unknown option 'fingerprint'"),
        ("name: x\ngrid: {product: {width: 8}}\n", "no data size: give one of num_tokens"),
        (
            "name: x\nfixed: {num_tokens: 1}\nladder: {sizes: [1], tokens_per_param: 1}\n",
            "sweep.yaml:2: tokens_per_param and num_tokens both set the data size",
        ),
        (
            "name: x\nfixed: {width: 1}\ngrid: {product: {width: 8, flops: 2}}\n",
            "sweep.yaml:3: width is fixed and varied by grid: remove one of the two",
        ),
        (
            "name: x\nfixed: {num_tokens: 1, flops: 2}\ngrid: {product: {width: 8}}\n",
            "num_tokens and flops both set the data size",
        ),
        (GRID + "    seeds: [0, 0]\n", "seed 0 is listed twice"),
        (GRID + "    seeds: [-1]\n", "seed -1 is not a whole number from 0"),
        (
            GRID + f"    seeds: [{2**63}]\n",
            f"seed {2**63} is not a whole number from 0 to {2**63 - 1}",
        ),
        (RUNS + "- {seed: -1}\n", r"sweep.yaml:4: .*seed -1 is not in \[0, 9223372036854775807\]"),
        (RUNS + f"- {{seed: {2**63}}}\n", f"seed {2**63} is not in"),
        (RUNS + f"- {{lr: {BIG}}}\n", r"lr is too large: the limit is 1.8e\+308"),
        (RUNS + "- {warmup_fraction: 1.5}\n", r"warmup_fraction 1.5 is not in \[0, 1\]"),
        (RUNS + "- {warmup_fraction: -0.1}\n", r"warmup_fraction -0.1 is not in \[0, 1\]"),
        (RUNS + "- {early_stopping: -1}\n", r"early_stopping -1 is not in \[0, inf\]"),
        (
            RUNS + "- {context: 1000000}\n",
            "needs 1000001 tokens; corpus has 1000000 held out: choose",
        ),
        (RUNS + "- {width: 64, aspect: 3}\n", "width leaves aspect without effect: give either"),
        (
            RUNS + "- {family: mlp, data: digits, width: 9, num_params: 1e4}\n",
            "num_params leaves width without effect: give either",
        ),
        ("name: on\nruns: [{}]\n", "sweep.yaml:1: sweep name True cannot name a folder: quote it"),
        (GRID + "    derive: {lr: step-law}\n", "lr is set and derived"),
        (GRID + "    derive: {eps: {scale: 1}}\n", "derive eps has no rule"),
        (GRID + "    derive: {eps: nope}\n", "sweep.yaml:5: unknown rule 'nope'"),
        (
            GRID.replace(", lr: 0.01", "") + "    derive: {lr: 1/width}\n",
            "sweep.yaml:5: rule 1/width needs scale: lr = scale / width",
        ),
        (
            GRID.replace(", lr: 0.01", "") + "    derive: {lr: {rule: 1/width, scale: 0}}\n",
            "scale 0 must be above 0",
        ),
        (
            GRID.replace(", lr: 0.01", "") + "    derive: {lr: {rule: step-law, scal: 1}}\n",
            "unknown key 'scal': did you mean 'scale'",
        ),
        (
            GRID + "    derive: {eps: {rule: power, of: 3, exponent: 1, scale: 1}}\n",
            "of must be a name",
        ),
        (
            GRID + "    derive: {eps: {rule: power, of: widht, exponent: 1, scale: 1}}\n",
            "sweep.yaml:5: run width=16 .*needs widht, which the run does not set",
        ),
        (GRID.replace("lr: 0.01", "tied: 0"), "no learning rate: give lr, or a rule under derive"),
        (GRID.replace("lr: 0.01", "lr: fast"), "sweep.yaml:3: run width=16 .*lr 'fast' is not a n"),
        (GRID.replace("16, 32", "33"), "run width=33 num_tokens=100000: head width 33"),
        (GRID.replace("1e5, 2e5", "-5"), "num_tokens"),
        (GRID.replace("num_tokens: [1e5, 2e5]", "flops: [1e3]"), "below one token of this model"),
        (GRID.replace("num_tokens: [1e5, 2e5]", "flops: [1e6]"), "pay for less than one step"),
        (GRID + "    constraints: {parms: {max: 1}}\n", "unknown key 'parms'"),
        (GRID + "    constraints: {flops: 1}\n", "flops must be a mapping"),
        (GRID + "    constraints: {flops: {}}\n", "flops has no bound"),
        (GRID + "    constraints: {flops: {max: a}}\n", "max must be a number"),
        (GRID + "    constraints: {flops: {min: 2, max: 1}}\n", "min 2 above max 1"),
        (GRID + "    constraints: {flops: {max: -5}}\n", "sweep.yaml:5: .*leave no run"),
        (GRID + f"    constraints: {{flops: {{max: {BIG}}}}}\n", "sweep.yaml:5: max is too large"),
        (GRID + f"    resources: {{minutes: {BIG}}}\n", "sweep.yaml:5: .*minutes is too large"),
        (GRID + f"    estimate: {{workers: {BIG}}}\n", "sweep.yaml:5: workers is too large"),
        (
            GRID + f"    derive: {{eps: {{rule: power, of: width, exponent: 1, scale: {BIG}}}}}\n",
            "sweep.yaml:5: scale is too large",
        ),
        (
            GRID + "    derive: {eps: {rule: power, of: width, exponent: 1000, scale: 1}}\n",
            "sweep.yaml:5: .*the result is too large: take a smaller scale or exponent",
        ),
        (
            "name: x\nisoflop: {budgets: [-1e9], sizes: [1]}\n",
            "item 1 of budgets -1e.09 is below 1",
        ),
        (GRID + "    constraints: {on_violation: stop}\n", "'stop' is not drop or error"),
        (
            GRID + "    constraints: {num_params: {max: 20000}, on_violation: error}\n",
            r"sweep.yaml:5: run width=32 .*num_params above the max 20000 \(4.112e.04\)",
        ),
        (
            GRID + "    constraints: {num_params: {max: 9}}\n",
            "4 runs left out: num_params above the max 9 .nearest: 1.442e.04.",
        ),
        (GRID + "    estimate: {price: 1}\n", "unknown key 'price': did you mean 'price_per_hour'"),
        (GRID + "    estimate: {watts: -1}\n", "watts -1 is below 0"),
        (GRID + "    estimate: {pue: 0.9}\n", "pue 0.9 is below 1"),
        (GRID + "    estimate: {workers: 1.5}\n", "workers 1.5 is not a whole number"),
        (GRID + "    estimate: {flops_per_second: 0}\n", "flops_per_second 0 must be above 0"),
    ],
)
def test_refused_with_place_and_remedy(expanded, text, message):
    with pytest.raises(ValueError, match=message):
        expanded(text)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("shape", ["grid: {product: {width: 8}}", DRAWN])
def test_data_that_are_not_there_are_named_at_their_line(shape):
    text = f"name: x\nfamily: anynet\ndata: nope\nfixed: {{num_tokens: 9}}\n{shape}\n"
    text = text.replace("anynet", "transformer") if "grid" in shape else text
    with pytest.raises(ValueError, match=r"sweep.yaml:3: no data set 'nope'"):
        expand(design(parse_document(text, "sweep.yaml")))


def test_too_many_runs(info):
    content = {
        "name": "x",
        "fixed": {"lr": 1, "num_tokens": 1},
        "seeds": {"range": [0, 1001]},
        "grid": {"product": {"width": {"range": [1, 1001]}}},
    }
    with pytest.raises(ValueError, match="1001000 runs; the limit is 1000000"):
        expand(design(Document(content)), info=info)


def test_a_wrong_option_is_found_by_its_name_not_by_the_words_of_its_error(info, tmp_path):
    """An error names its options, whatever its message says of others."""
    path = tmp_path / "x.yaml"
    path.write_text(
        "name: x\nfixed:\n  depth: 1\n  num_tokens: 1e5\n  heads: 3\n  lr: 0.01\n"
        "grid: {product: {width: [8, 16]}}\n"
    )
    with pytest.raises(OptionError) as refused:
        RunSpec.resolve(info=info, depth=1, width=8, heads=3, num_tokens=1e5, lr=0.01)
    assert refused.value.options == ("width", "heads")
    with pytest.raises(ValueError, match=rf"{path}:5: run width=8: .* no multiple of heads"):
        load_sweep(path, info=info)
