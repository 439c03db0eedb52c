"""Losses by place in the context: their weighted mean is the loss, and nothing else changes."""

from __future__ import annotations

import pytest

from scaling.base import OptionError
from scaling.spec import RunSpec
from scaling.training.loop import train
from scaling.training.task import position_bins


def test_places_double_and_cover_the_context():
    for context in (1, 7, 8, 100):
        bins = position_bins(context).values()
        assert [i for part in bins for i in range(context)[part]] == list(range(context))


def test_their_mean_is_the_loss(tiny, tmp_path):
    plain = RunSpec.resolve(**tiny)
    spec = RunSpec.resolve(**tiny, by_position=True)
    assert spec.run_id != plain.run_id
    found = train(spec, tmp_path / "a").values
    context = spec.model.context
    parts = position_bins(context)
    lengths = {name: len(range(context)[part]) for name, part in parts.items()}
    mean = sum(found[name] * length for name, length in lengths.items()) / context
    assert mean == pytest.approx(found["loss"], rel=1e-6)
    assert found["loss"] == train(plain, tmp_path / "b").values["loss"]
    assert found["loss_at_1"] > found["loss_at_4"]  # what was seen helps


def test_labels_have_no_places():
    with pytest.raises(OptionError, match="by_position is for next tokens"):
        RunSpec.resolve(family="mlp", data="digits", num_examples=640, lr=1e-3, by_position=True)
