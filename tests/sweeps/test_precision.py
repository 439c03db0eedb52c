"""What precision runs have that do not say one: bfloat16 where the sweep asks for GPUs."""

from __future__ import annotations

import pytest

from scaling.base import Store
from scaling.run import sweep_path
from sweeps import Ended, load_sweep, next_run, refuse_another

FILE = {
    "name": "x",
    "fixed": {"depth": 2, "context": 64, "num_tokens": 1e6, "lr": 0.01},
    "grid": {"product": {"width": [16, 48]}},
}


def of(info, root=None, **more):
    fixed = {**FILE["fixed"], **more.pop("fixed", {})}
    return load_sweep({**FILE, "fixed": fixed, **more}, root, info=info)


def precisions(sweep):
    return {entry.spec.train.precision for entry in sweep}


@pytest.mark.parametrize(
    "resources",
    [
        {"gpus": 1},
        {"gpus": "a100:4"},
        {"device": "cuda"},
        {"rules": [{"from_params": 1e9, "gpus": 1}]},  # one sweep, one arithmetic
    ],
    ids=str,
)
def test_on_gpus_it_is_bfloat16(info, resources):
    assert precisions(of(info, resources=resources)) == {"bfloat16"}
    said = of(info, resources=resources, fixed={"precision": "bfloat16"})
    assert [e.run_id for e in said] == [e.run_id for e in of(info, resources=resources)]


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"cpus": 4},
        {"gpus": 1, "device": "cpu"},
        {"gpus": "tesla_v100:1"},  # multiplies no bfloat16
        {"gpus": 1, "fallback": [{"gpus": "t4:1"}]},
        {"gpus": 1, "ensemble": 8},
    ],
    ids=str,
)
def test_else_it_is_float32(info, resources):
    assert precisions(of(info, resources=resources)) == {"float32"}
    assert [e.run_id for e in of(info, resources=resources)] == [e.run_id for e in of(info)]


def test_what_is_said_counts(info):
    plain = of(info)
    same = of(info, resources={"gpus": 1}, fixed={"precision": "float32"})
    assert [e.run_id for e in same] == [e.run_id for e in plain]
    both = of(
        info,
        resources={"gpus": 1},
        grid={"zip": {"width": [16, 48], "precision": ["float32", "bfloat16"]}},
    )
    assert precisions(both) == {"float32", "bfloat16"}


def test_what_is_counted_has_none(info):
    fixed = {"num_tokens": 1e6, "context": 64}
    grams = {"name": "x", "family": "ngram", "fixed": fixed, "grid": {"product": {"order": [2, 3]}}}
    one, other = (
        load_sweep({**grams, **more}, info=info) for more in ({}, {"resources": {"gpus": 1}})
    )
    assert [e.run_id for e in one] == [e.run_id for e in other]


def test_it_is_said(expanded):
    text = """
        name: x
        fixed: {depth: 2, context: 64, lr: 0.01, num_tokens: 1e6}
        grid: {product: {width: [16, 48]}}
        resources: {gpus: 1}
    """
    (note,) = expanded(text).notes()
    assert note.startswith("precision is bfloat16, since resources ask for GPUs")
    assert expanded(text.replace("num_tokens", "precision: bfloat16, num_tokens")).notes() == []


def test_runs_of_before_are_not_trained_anew_unasked(info, tmp_path):
    of(info).write(sweep_path(Store.at(tmp_path), "x"))
    with pytest.raises(ValueError, match=r"has 2 runs in float32.*fix precision: float32"):
        of(info, tmp_path, resources={"gpus": 1})
    assert precisions(
        of(info, tmp_path, resources={"gpus": 1}, fixed={"precision": "float32"})
    ) == {"float32"}


def test_a_sweep_with_runs_that_have_none_or_say_one_goes_on(info, tmp_path):
    """What is counted, and a run that says float32, are of the same sweep still."""
    plain = {**FILE["fixed"], "width": 16}
    runs = [plain, {**plain, "width": 32, "precision": "float32"}]
    runs.append({"family": "ngram", "order": 3, "context": 64, "num_tokens": 1e6})
    asked = {"name": "x", "resources": {"gpus": 1}, "runs": runs}
    first = load_sweep(asked, tmp_path, info=info)
    assert [e.spec.train.precision for e in first] == ["bfloat16", "float32", "float32"]
    first.write(sweep_path(Store.at(tmp_path), "x"))
    assert load_sweep(asked, tmp_path, info=info) == first


def test_a_search_keeps_it():
    """Its later runs are made from what the sweep's file keeps, which has no resources."""
    space = {"name": "s", "parameters": {"width": {"choices": [16, 32, 48, 64]}}}
    search = {
        "name": "s",
        "data": "teacher",
        "family": "mlp",
        "fixed": {"num_examples": 1e5, "lr": 0.01},
        "design_space": {"space": space},
        "strategy": {"kind": "random", "budget": 6e9},
    }
    found = load_sweep({**search, "resources": {"gpus": 1}})
    (entry,) = found
    later = next_run(found, {entry.run_id: Ended(3.0, 1.0)})
    assert precisions(found) == precisions(later) == {"bfloat16"} and len(later) == 2
    before = load_sweep(search)  # as it was begun without a precision
    with pytest.raises(ValueError, match="precision is 'bfloat16', was 'float32'"):
        refuse_another(before, found)
    plain = {**search, "fixed": {**search["fixed"], "precision": "float32"}}
    refuse_another(before, load_sweep({**plain, "resources": {"gpus": 1}}))
