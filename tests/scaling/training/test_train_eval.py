"""The loss on training data: on seen data, as held-out data are, at no change to the run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analysis import load_runs
from analysis.diagnosis import with_parts
from scaling.data import open_data
from scaling.spec import RunSpec
from scaling.training.alike import ensemble_key
from scaling.training.loop import train
from scaling.training.task import Classify, seen_last

MLP = {"family": "mlp", "data": "digits", "depth": 1, "width": 16, "lr": 0.01, "batch_size": 32}
TEXT = {
    "depth": 1, "width": 16, "context": 32, "data": "python-source", "num_tokens": 32 * 8 * 20,
    "lr": 0.01, "final_tokens": 4096,
}  # fmt: skip


@pytest.mark.parametrize(("steps", "per_epoch"), [(10, 44), (500, 44), (44, 44), (3, 0)])
def test_rows_are_of_the_last_pass_and_none_comes_twice(steps, per_epoch):
    found = seen_last(steps, per_epoch, 32, 370, 20)
    rows = [(step, row) for step, some in found for row in range(some.start, some.stop)]
    assert len(set(rows)) == len(rows) == min(370, 32 * min(steps, max(1, per_epoch)))
    assert all(max(0, steps - max(1, per_epoch)) <= step < steps for step, _ in rows)
    assert all(some.stop - some.start <= 20 for _, some in found)


@pytest.mark.parametrize("options", [{**MLP, "num_examples": 20 * 32}, TEXT])
def test_the_run_is_the_same_bits_and_has_columns_more(tmp_path, options):
    specs = [RunSpec.resolve(**options, train_eval=on) for on in (False, True)]
    specs.append(RunSpec.resolve(**options))
    without, asked, usual = specs
    assert without.run_id == usual.run_id != asked.run_id
    assert without.trunk_id == asked.trunk_id == usual.trunk_id
    assert ensemble_key(without) == ensemble_key(asked) == ensemble_key(usual) is not None
    assert RunSpec.from_dict(usual.to_dict()) == usual
    found = [train(spec, tmp_path / str(i)).values for i, spec in enumerate(specs)]
    text = "family" not in options
    for values in found[1:]:
        assert values["loss"] == found[0]["loss"]
        more = set(values) - set(found[0])
        assert more == {"loss_train", "loss_train_se"} | (set() if text else {"error_train"})
        error = math.hypot(values["loss_se"], values["loss_train_se"])
        assert values["loss_train"] < values["loss"] + 3 * error


def test_a_run_from_before_it_was_usual_is_finished_as_it_began(tmp_path):
    spec = RunSpec.resolve(**MLP, num_examples=20 * 32)
    calls = iter(range(100))
    assert train(spec, tmp_path, should_stop=lambda: next(calls) == 5).status == "stopped"
    written = json.loads((tmp_path / "spec.json").read_text())
    assert written["train"].pop("train_eval") is None
    (tmp_path / "spec.json").write_text(json.dumps(written))
    assert RunSpec.from_dict(written).run_id == spec.run_id
    assert "loss_train" not in train(spec, tmp_path).values


def test_a_table_of_runs_with_and_without_it_has_the_parts_of_those_with(tmp_path):
    for seed, more in enumerate(({"train_eval": False}, {})):
        spec = RunSpec.resolve(**MLP, num_examples=20 * 32, seed=seed, **more)
        train(spec, tmp_path / spec.run_id)
    runs = load_runs(tmp_path).sort_values("seed")
    assert list(runs["error_train"].isna()) == list(runs["loss_train"].isna()) == [True, False]
    assert list(runs["exclude_reason"]) == ["", ""]
    found = with_parts(runs, "error", 0.0)
    assert list(found["seed"]) == [1]
    assert (found["bias"] + found["variance"]).to_numpy() == pytest.approx(found["error"])


class Silent(Classify):
    """A task of somebody that does not take a loss on training data."""

    evaluate_training = property()  # type: ignore[assignment]


def test_a_task_that_cannot_take_it_is_asked_only_on_request(tmp_path):
    task = f"{__name__}:Silent"
    with pytest.raises(ValueError, match="has no evaluate_training"):
        spec = RunSpec.resolve(**MLP, num_examples=640, task=task, train_eval=True)
        train(spec, tmp_path / "asked")
    usual = RunSpec.resolve(**MLP, num_examples=640, task=task)
    values = train(usual, tmp_path / "usual").values
    assert values["error"] < 1 and "loss_train" not in values


def test_what_is_evaluated_was_trained_on_and_is_as_it_is_stored():
    """Torch's own loss, on the images of the steps of the last pass, none of them augmented."""
    spec = RunSpec.resolve(
        **{**MLP, "num_examples": 32 * 20, "crop_padding": 2, "train_eval": True}
    )
    task = Classify(spec, open_data("digits"), torch.device("cpu"))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with torch.no_grad():
        found = task.evaluate_training(model, 0, 20)
        data = open_data("digits")
        seen = seen_last(20, 44, 32, 360, 360)
        rows = [data.batch(step, batch_size=32, seed=0, rows=some) for step, some in seen]
        x = torch.from_numpy(np.concatenate([x for x, _ in rows])).float() / 255
        y = torch.from_numpy(np.concatenate([y for _, y in rows]))
        logits = model(x)
    task.close()
    assert len(y) == 360  # as many as are held out
    assert found["loss"] == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-6)
    assert found["error"] == pytest.approx(float((logits.argmax(1) != y).float().mean()))
