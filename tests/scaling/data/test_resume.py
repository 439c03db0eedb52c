"""Training on augmented images: the same bits after a stop, settings that are part of identity."""

from __future__ import annotations

import itertools

import pytest

from scaling.run.journal import end, points, read_journal
from scaling.spec import RunSpec
from scaling.training.loop import train

TINY = {
    "family": "vit",
    "data": "digits",
    "depth": 1,
    "width": 8,
    "heads": 2,
    "patch": 4,
    "batch_size": 16,
    "num_examples": 16 * 24,
    "lr": 0.01,
    "curve_tokens": 64,
    "final_tokens": 128,
}
AUGMENTED = {
    "crop_padding": 1,
    "crop_scale": 0.6,
    "flip": True,
    "colour_jitter": 0.3,
    "mixup": 0.2,
    "standardise": True,
    "label_smoothing": 0.1,
}


def bits(run_dir):
    events = read_journal(run_dir)
    curve = [(p["step"], p["loss"], p["train_loss"]) for p in points(events)]
    return curve, {k: end(events)[k] for k in ("status", "loss", "error")}


@pytest.mark.parametrize("more", [{}, {"resolution": 12}])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, more):
    spec = RunSpec.resolve(**TINY, **AUGMENTED, **more)
    train(spec, tmp_path / "whole")
    for calls in (5, 11):
        stop = itertools.count(1)
        outcome = train(spec, tmp_path / "parts", should_stop=lambda s=stop, c=calls: next(s) >= c)
        assert outcome.status == "stopped"
    train(spec, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


def test_each_setting_changes_the_run_and_its_identity(tmp_path):
    plain = RunSpec.resolve(**TINY)
    losses = {train(plain, tmp_path / "plain").loss}
    for name, value in AUGMENTED.items():
        spec = RunSpec.resolve(**TINY, **{name: value})
        assert spec.run_id != plain.run_id
        losses.add(train(spec, tmp_path / name).loss)
    assert len(losses) == 1 + len(AUGMENTED)


def test_settings_that_change_nothing_keep_the_identity():
    off = {"crop_padding": 0, "crop_scale": 1, "flip": False, "colour_jitter": 0, "mixup": 0}
    assert RunSpec.resolve(**TINY, **off).run_id == RunSpec.resolve(**TINY).run_id
    assert RunSpec.from_dict(RunSpec.resolve(**TINY, **off).to_dict()) == RunSpec.resolve(**TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_padding": -1}, r"crop_padding -1 is not in \[0, inf\]"),
        ({"crop_scale": 0}, r"crop_scale 0.0 is not in \[0.01, 1\]"),
        ({"colour_jitter": 1.5}, r"colour_jitter 1.5 is not in \[0, 1\]"),
        ({"mixup": -0.1}, r"mixup -0.1 is not in \[0, inf\]"),
        ({"flip": "perhaps"}, "flip 'perhaps' is neither true nor false"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RunSpec.resolve(**TINY, **options)


@pytest.mark.parametrize("option", [{"flip": True}, {"mixup": 0.2}, {"standardise": True}])
def test_tokens_are_not_augmented(tiny, option):
    with pytest.raises(ValueError, match="data set 'tiny' has"):
        RunSpec.resolve(**tiny, **option)
