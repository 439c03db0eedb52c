"""The loss on training data: on seen data, as many as held out, at no change to the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

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
    without, asked = (RunSpec.resolve(**options, train_eval=on) for on in (False, True))
    assert without.run_id == RunSpec.resolve(**options).run_id != asked.run_id
    assert without.trunk_id == asked.trunk_id
    assert ensemble_key(asked) is None
    found = [train(spec, tmp_path / spec.run_id).values for spec in (without, asked)]
    assert found[0]["loss"] == found[1]["loss"]
    more = set(found[1]) - set(found[0])
    text = "family" not in options
    assert more == {"loss_train", "loss_train_se"} | (set() if text else {"error_train"})
    assert found[1]["loss_train"] < found[1]["loss"] + 3 * found[1]["loss_se"]


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
