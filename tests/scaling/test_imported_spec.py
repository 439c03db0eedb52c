"""ImportedSpec: identity is the content, and nobody trains it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling import ImportedSpec, read_any_spec, read_spec

SPEC = ImportedSpec(
    source="wandb",
    run="x7",
    options={"width": 64, "lr": 0.1, "batch_size": 8},
    final={"val_loss": 2.5, "note": "good"},
    result={"status": "done", "loss": 2.5, "tokens": 1000, "seconds": 1.5},
    counts={"num_params": 125, "lr": 0.1},
)


def test_equal_content_is_one_run():
    assert SPEC.run_id == "3d467bcadd49e9d5"
    again = read_any_spec(SPEC.to_dict())
    assert again == SPEC
    assert again.run_id == SPEC.run_id


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"counts": {"num_params": 250}}, True),
        ({"run": "x8"}, False),
        ({"source": "mlflow"}, False),
        ({"options": {"width": 65}}, False),
        ({"final": {}}, False),
        ({"result": {"status": "done", "loss": 2.5000000000000004, "tokens": 1000}}, False),
    ],
)
def test_counts_alone_may_be_corrected(change, same):
    assert (replace(SPEC, **change).run_id == SPEC.run_id) == same


def test_its_columns():
    assert SPEC.columns() == {
        "run_id": SPEC.run_id,
        "family": "wandb",
        "num_params": 125,
        "lr": 0.1,
        "num_tokens": 1000,
        "flops_6nd": 750_000,
        "width": 64,
        "batch_size": 8,
        "val_loss": 2.5,
        "note": "good",
    }
    assert SPEC.flops == 750_000
    assert replace(SPEC, counts={"flops": 7}).flops == 7


def test_nobody_trains_it():
    with pytest.raises(ValueError, match=r"'x7'.* was imported \(wandb\): it was"):
        read_spec(SPEC.to_dict())


def test_what_is_no_spec_is_refused():
    for wrong in ({"schema_version": 2}, {"unknown": 1}):
        with pytest.raises(ValueError, match=r"upgrade scaling-lab|unknown"):
            read_any_spec({**SPEC.to_dict(), **wrong})
