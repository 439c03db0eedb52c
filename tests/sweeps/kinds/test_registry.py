"""Grid, iso-FLOP, ladder and table: which points they give, in which order."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.document import Document
from sweeps.kinds.registry import GENERATORS

LISTS = st.dictionaries(
    st.sampled_from(["width", "depth", "lr", "seed"]),
    st.lists(st.integers(1, 99), min_size=1, max_size=4),
    min_size=1,
)


def points(shape, block, folder=None):
    document = Document({}, "f.yaml") if folder is None else Document({}, "f.yaml", folder=folder)
    return GENERATORS[shape](document, block, (shape,))


@given(LISTS)
def test_product_is_every_combination_the_first_option_slowest(lists):
    expected = [dict(zip(lists, chosen, strict=True)) for chosen in product(*lists.values())]
    assert points("grid", {"product": lists}) == expected


def test_zip_goes_in_step_and_crosses_the_product():
    found = points("grid", {"product": {"a": [1, 2]}, "zip": {"b": [3, 4], "c": [5, 6], "d": 7}})
    assert [tuple(p.values()) for p in found] == [
        (1, 3, 5, 7),
        (1, 4, 6, 7),
        (2, 3, 5, 7),
        (2, 4, 6, 7),
    ]


def test_isoflop_is_budgets_times_sizes():
    found = points("isoflop", {"budgets": [1e9, 2e9], "sizes": [10, 20]})
    assert found == [
        {"num_params": 10, "flops": 1e9},
        {"num_params": 20, "flops": 1e9},
        {"num_params": 10, "flops": 2e9},
        {"num_params": 20, "flops": 2e9},
    ]


def test_sizes_in_three_ways():
    ladder = {"tokens_per_param": [5]}
    by_target = points("ladder", {**ladder, "sizes": {"log": [10, 1000, 3]}})
    assert [p["num_params"] for p in by_target] == [10, 100, 1000]
    in_step = points("ladder", {**ladder, "sizes": {"width": [8, 16], "depth": [1, 2]}})
    one_by_one = [{"width": 8, "depth": 1}, {"width": 16, "depth": 2}]
    assert in_step == points("ladder", {**ladder, "sizes": one_by_one})
    assert [p["width"] for p in in_step] == [8, 16]


def test_ladder_is_sizes_times_ratios():
    found = points("ladder", {"sizes": [10, 20], "tokens_per_param": [1, 5]})
    assert [(p["num_params"], p["tokens_per_param"]) for p in found] == [
        (10, 1),
        (10, 5),
        (20, 1),
        (20, 5),
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_a_plan_becomes_runs(tmp_path, suffix):
    rows = [
        {"flops": 1e15, "num_params": 1.5e6, "num_tokens": 2e7, "loss": 3.1, "lr": 0.01},
        {"flops": 1e16, "num_params": 5e6, "num_tokens": 6e7, "loss": 2.9, "lr": 0.02},
    ]
    texts = {
        "csv": "flops,N,tokens,loss,lr\n1e15,1.5e6,2e7,3.1,0.01\n1e16,5e6,6e7,2.9,0.02\n",
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "json": json.dumps(rows),
    }
    (tmp_path / f"plan.{suffix}").write_text(texts[suffix])
    found = points("runs", {"file": f"plan.{suffix}", "columns": ["lr"]}, tmp_path)
    numbers = [{key: float(value) for key, value in point.items()} for point in found]
    assert numbers == [
        {"num_params": 1.5e6, "num_tokens": 2e7, "lr": 0.01},
        {"num_params": 5e6, "num_tokens": 6e7, "lr": 0.02},
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("plan.csv", "num_params,loss\n1,2\n", "has no column num_tokens; it has num_params, loss"),
        ("plan.csv", "num_params,num_tokens\n", "has no rows"),
        ("plan.csv", "num_params,num_tokens\n5,\n", "row 1 of .* has no num_tokens"),
        ("plan.jsonl", '{"num_params": 1\n', "not JSON"),
        ("plan.json", '{"num_params": 1}', "is not a list of rows"),
        ("plan.txt", "", "is not .csv, .jsonl or .json"),
        ("other.csv", "", "no file .*plan.csv"),
    ],
)
def test_a_table_that_is_no_plan(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    wanted = "plan.csv" if name == "other.csv" else name
    with pytest.raises(ValueError, match=message):
        points("runs", {"file": wanted}, tmp_path)


@pytest.mark.parametrize(
    ("shape", "block", "message"),
    [
        ("grid", {}, "grid has no options"),
        ("grid", [1], "grid must be a mapping"),
        ("grid", {"prodct": {}}, "unknown key 'prodct': did you mean 'product'"),
        ("grid", {"zip": {"a": [1, 2], "b": [1, 2, 3]}}, "equally long: a has 2, b has 3"),
        ("grid", {"product": {"a": [1]}, "zip": {"a": [1]}}, "a is in product and in zip"),
        (
            "grid",
            {"product": {"a": {"range": [0, 2000]}, "b": {"range": [0, 2000]}}},
            "2000 x 2000 x 1 is 4e.06 runs; the limit is 1000000",
        ),
        ("isoflop", {"budgets": [1e9]}, "isoflop has no sizes"),
        ("isoflop", {"budgets": [-1e9], "sizes": [1]}, "budgets|0 -1e.09 is below 1"),
        ("isoflop", {"budgets": ["big"], "sizes": [1]}, "must be a number, not a text"),
        ("ladder", {"sizes": [1]}, "ladder has no tokens_per_param"),
        ("ladder", {"sizes": [1], "tokens_per_param": 0}, "tokens_per_param 0 must be above 0"),
        ("ladder", {"sizes": {}, "tokens_per_param": 1}, "sizes is empty"),
        ("runs", [], "runs is an empty list"),
        ("runs", {}, "runs is a list of runs, or has file"),
        ("runs", [1], "must be a mapping"),
        ("runs", {"file": "a.csv", "columns": "lr"}, "columns must be a list of names"),
    ],
)
def test_refused(shape, block, message):
    with pytest.raises(ValueError, match=message):
        points(shape, block)
