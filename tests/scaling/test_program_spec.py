"""ProgramSpec: what is identity, what is not, and that it comes back from plain values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scaling import COUNTED, PLACES, Counts, Program, ProgramSpec, RunSpec, read_spec

SPEC = ProgramSpec(
    program=Program(command=("python", "train.py", "--lr", "{lr}"), code="0123456789abcdef"),
    options={"width": 64, "lr": 0.01, "flags": ["a", "b"]},
    counts=Counts(num_params=50_000, flops_per_token=300_000),
    num_tokens=1 << 16,
    tokens_per_step=1 << 10,
    data={"name": "c4", "version": "2024-05"},
)


def test_it_comes_back_from_json_and_is_told_from_our_own():
    again = read_spec(json.loads(json.dumps(SPEC.to_dict())))
    assert again == replace(SPEC, options={**SPEC.options}) and again.run_id == SPEC.run_id
    with pytest.raises(ValueError, match="not a run spec"):
        read_spec({"family": "transformer"})
    with pytest.raises(ValueError, match="not a program's spec"):
        read_spec({"program": {"command": []}})
    assert RunSpec is not ProgramSpec


def test_the_identity_is_pinned():
    assert SPEC.run_id == "830dbd8255333e79"


@pytest.mark.parametrize(
    "change",
    [
        {"options": {**SPEC.options, "lr": 0.02}},
        {"program": replace(SPEC.program, code="fedcba9876543210")},
        {"program": replace(SPEC.program, command=("python", "other.py"))},
        {"program": replace(SPEC.program, reports={"loss": "val_loss"})},
        {"data": {"name": "c4", "version": "2025-01"}},
        {"seed": 1},
        {"num_tokens": 1 << 17},
    ],
)
def test_what_affects_the_result_is_identity(change):
    assert replace(SPEC, **change).run_id != SPEC.run_id


def test_names_of_counts_are_not():
    other = replace(SPEC, counts=Counts(num_params=1, flops_per_token=1), name="mine")
    assert other.run_id == SPEC.run_id


def test_counts_and_columns_of_what_was_planned_and_trained():
    columns = SPEC.columns()
    assert SPEC.flops == columns["flops"] == 300_000 * 2**16
    assert SPEC.num_steps == 64 and columns["batch_size"] == 1024
    assert columns["width"] == 64 and columns["lr"] == 0.01 and "flags" not in columns
    assert SPEC.columns_after(SPEC.num_tokens) == {}
    after = SPEC.columns_after(1 << 15)
    assert after["num_tokens"] == 1 << 15 and after["num_tokens_planned"] == 1 << 16
    assert after["flops"] == 300_000 * 2**15
    with pytest.raises(ValueError, match="num_params 0 is not above 0"):
        Counts(num_params=0, flops_per_token=1)


def test_what_a_command_may_ask_for():
    values = SPEC.values()
    assert values["num_steps"] == 64 and values["seed"] == 0 and values["num_params"] == 50_000
    assert "num_steps" not in replace(SPEC, tokens_per_step=0).values()
    whole = replace(SPEC, counts=Counts(1, 6, num_params_non_embedding=1)).values()
    assert set(whole) == {*COUNTED, *SPEC.options} and not set(whole) & set(PLACES)
