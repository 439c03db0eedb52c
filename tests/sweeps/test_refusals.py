"""What a sweep file may not say: refused by its line, with the remedy."""

from __future__ import annotations

import pytest

from scaling.base import OptionError
from scaling.spec import RunSpec
from sweeps.design import design
from sweeps.document import Document, parse_document
from sweeps.expansion import expand
from sweeps.load import load_sweep
from tests.sweeps.test_expansion import GRID

RUNS = """\
name: x
fixed: {depth: 1, lr: 0.01, num_tokens: 1e5}
runs:
"""


BIG = "9" * 400


DRAWN = "design_space: {space: anynetx-a, models: 1}"


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
        (
            GRID.replace("num_tokens: [1e5, 2e5]", "flops: [1e6]"),
            r"sweep.yaml:4: run width=16 flops=1e.06: num_tokens 12 is less than one step of "
            r"512 tokens .batch_size 8.: lower batch_size, .* constraints: \{steps: \{min: 10\}\}",
        ),
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
