"""Initialisation and the data's order follow from two seeds, or both from one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.families import get_family
from scaling.run.journal import read_journal
from scaling.spec import RunSpec
from scaling.training.loop import train
from scaling.training.task import make_task

DIGITS = {
    "data": "digits",
    "family": "lenet",
    "resolution": 8,
    "num_examples": 256,
    "batch_size": 32,
    "lr": 0.01,
    "flip": True,
}


def start(spec):
    torch.manual_seed(spec.seed)
    return get_family(spec.family).build(spec.model)


def losses(spec, model):
    """The first batches' losses by ``model``, which tell the batches apart."""
    task = make_task(spec, None, torch.device("cpu"))
    model.eval()
    with torch.no_grad():
        found = [task.loss(model, step).item() for step in range(3)]
    task.close()
    return found


@pytest.mark.parametrize("kind", ["text", "images"])
def test_weights_and_batches_vary_by_themselves(tiny, kind):
    base = tiny if kind == "text" else DIGITS
    plain, order, weights = (
        RunSpec.resolve(**base, **seeds)
        for seeds in ({"seed": 1}, {"seed": 1, "data_seed": 2}, {"seed": 2, "data_seed": 1})
    )

    def same_weights(one, other):
        pairs = zip(start(one).parameters(), start(other).parameters(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    assert same_weights(plain, order) and not same_weights(plain, weights)
    judge = start(plain)
    assert losses(plain, judge) == losses(weights, judge) != losses(order, judge)
    assert losses(order, judge) == losses(RunSpec.resolve(**base, seed=2), judge)


def test_dropout_follows_the_seed_of_the_weights(tiny, tmp_path):
    def trained(**seeds):
        folder = tmp_path / "-".join(f"{k}{v}" for k, v in seeds.items())
        train(RunSpec.resolve(**tiny, dropout=0.2, **seeds), folder)
        return [e["train_loss"] for e in read_journal(folder) if e["event"] == "point"]

    plain = trained(seed=3)
    assert trained(seed=3, data_seed=3) == plain
    assert not np.allclose(trained(seed=3, data_seed=4), plain)
