"""Augmentation is a function of seed, step and row, and does what its closed forms say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy import stats
from torch.nn import functional as F

from scaling.data.batches.examples import ExampleData
from scaling.data.info import DataInfo
from scaling.spec_parts import TrainSpec
from scaling.training.augment import Draws, augment, crop_and_flip, draw, jitter, resized_crop
from scaling.training.loader import Loader

CPU = torch.device("cpu")
PLAIN = TrainSpec(num_tokens=64, batch_size=16)
ALL = replace(
    PLAIN, crop_padding=2, crop_scale=0.5, flip=True, colour_jitter=0.4, mixup=0.3, standardise=True
)


def images(n: int = 16, shape: tuple[int, ...] = (3, 8, 6), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def data_of(inputs: np.ndarray, classes: int = 4) -> ExampleData:
    n, labels = len(inputs), np.arange(len(inputs)) % classes
    info = DataInfo(
        "some", "0" * 16, "example", n, n, num_classes=classes, input_shape=inputs.shape[1:]
    )
    return ExampleData(info, inputs, labels, inputs, labels)


def loader(train: TrainSpec, inputs: np.ndarray, shape: tuple[int, ...] | None = None) -> Loader:
    return Loader(data_of(inputs), train, 7, shape or inputs.shape[1:], CPU)


# Draws.


def test_draws_are_a_function_of_seed_and_step():
    for field, value in vars(draw(ALL, 1, 5)).items():
        np.testing.assert_array_equal(value, getattr(draw(ALL, 1, 5), field))
        assert not np.array_equal(value, getattr(draw(ALL, 1, 6), field))
        assert not np.array_equal(value, getattr(draw(ALL, 2, 5), field))


@pytest.mark.parametrize(
    "off", [{"crop_padding": 0}, {"crop_scale": 1.0}, {"flip": False}, {"colour_jitter": 0.0}]
)
def test_switching_one_kind_off_leaves_the_others(off):
    with_it, without = draw(ALL, 3, 4), draw(replace(ALL, **off), 3, 4)
    for field, value in vars(without).items():
        if value is not None:
            np.testing.assert_array_equal(value, getattr(with_it, field))
    assert sum(value is None for value in vars(without).values()) == 1


def test_draws_have_the_distributions_that_they_say():
    many = replace(ALL, batch_size=20_000)
    drawn = draw(many, 0, 0)
    n = many.batch_size
    assert stats.binomtest(int(drawn.flip.sum()), n, 0.5).pvalue > 1e-3
    counts = np.bincount((drawn.shift[:, 0] + 2) * 5 + drawn.shift[:, 1] + 2, minlength=25)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(drawn.weight, stats.beta(0.3, 0.3).cdf).pvalue > 1e-3
    assert stats.kstest(drawn.factors.ravel(), stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    assert sorted(drawn.partner) == list(range(n))
    top, left, height, width = drawn.box.T
    assert (drawn.box >= 0).all() and (top + height <= 1).all() and (left + width <= 1).all()
    whole = (height < 1) & (width < 1)  # not cut off at the image's sides
    area, ratio = (height * width)[whole], (width / height)[whole]
    assert area.min() >= 0.5 and ratio.min() >= 3 / 4 and ratio.max() <= 4 / 3
    # A side is cut off where area x ratio exceeds 1 or area / ratio does; the rest is uniform.
    small = area < 3 / 4
    assert stats.kstest(area[small], stats.uniform(0.5, 0.25).cdf).pvalue > 1e-3


# Geometry.


def test_flipping_twice_changes_nothing_and_once_mirrors():
    x, all_of_them = torch.from_numpy(images()), np.ones(16, bool)
    once = crop_and_flip(x, None, all_of_them)
    assert torch.equal(once, x.flip(3))
    assert torch.equal(crop_and_flip(once, None, all_of_them), x)
    assert once.dtype == torch.uint8


@settings(max_examples=40)
@given(
    shift=st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
    channels=st.sampled_from([1, 3]),
    mirrored=st.booleans(),
)
def test_a_crop_is_a_shift_with_zeros_moving_in(shift, channels, mirrored):
    x = images(1, (channels, 8, 6))
    down, right = shift
    padded = np.pad(x, ((0, 0), (0, 0), (5, 5), (5, 5)))
    expected = padded[:, :, 5 - down : 13 - down, 5 - right : 11 - right]
    expected = expected[..., ::-1] if mirrored else expected
    got = crop_and_flip(torch.from_numpy(x), np.array([shift]), np.array([mirrored]))
    np.testing.assert_array_equal(got.numpy(), expected)


def test_the_whole_box_is_the_image_and_a_part_is_what_pillow_cuts_out():
    pixels = images(1, (1, 12, 16))[0, 0].astype(np.float32)
    x = torch.from_numpy(pixels)[None, None]
    assert torch.allclose(resized_crop(x, np.array([[0.0, 0, 1, 1]])), x, atol=1e-3)
    box = (3, 2, 13, 9)  # left, top, right, bottom in pixels
    part = np.array([[2 / 12, 3 / 16, 7 / 12, 10 / 16]])
    ours = resized_crop(x, part)[0, 0].numpy()
    cut = Image.fromarray(pixels).crop(box)
    theirs = np.asarray(cut.resize((16, 12), Image.Resampling.BILINEAR))
    # Pillow repeats the border of the part, we go on in the image: the inner pixels are the same.
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=0.05)


# Colour.


@pytest.mark.parametrize(
    ("position", "enhance"),
    [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
@pytest.mark.parametrize("factor", [0.6, 1.3])
def test_each_jitter_is_pillows(position, enhance, factor):
    pixels = images(1, (3, 8, 6))
    factors = np.ones((1, 3))
    factors[0, position] = factor
    ours = jitter(torch.from_numpy(pixels).float() / 255, factors)[0].permute(1, 2, 0) * 255
    theirs = np.asarray(enhance(Image.fromarray(pixels[0].transpose(1, 2, 0))).enhance(factor))
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2)  # Pillow rounds thrice


@given(factors=st.tuples(*[st.floats(0, 2)] * 3), channels=st.sampled_from([1, 3]))
def test_jitter_stays_within_range_and_ones_change_nothing(factors, channels):
    x = torch.from_numpy(images(1, (channels, 4, 4))).float() / 255
    y = jitter(x, np.array([factors]))
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    assert torch.allclose(jitter(x, np.ones((1, 3))), x, atol=1e-6)


def test_nothing_switched_on_changes_nothing():
    x = torch.from_numpy(images())
    assert augment(x, Draws()) is x
    batch = loader(PLAIN, images()).batch(0)
    assert batch.other is None and batch.weight is None
    plain, labels = data_of(images()).batch(0, batch_size=16, seed=7)
    assert torch.equal(batch.inputs, torch.from_numpy(plain).float() / 255)
    assert batch.labels.tolist() == labels.tolist()


# Batches.


@settings(max_examples=10)
@given(
    step=st.integers(0, 9),
    rows=st.tuples(st.integers(0, 15), st.integers(1, 16)).filter(lambda r: r[0] < r[1]),
    train=st.sampled_from([ALL, replace(ALL, mixup=0.0), PLAIN]),
)
def test_some_rows_are_those_rows_of_the_whole_batch(step, rows, train):
    loads = loader(train, images(40))
    whole, part = loads.batch(step), loads.batch(step, slice(*rows))
    for name in ("inputs", "labels", "other", "weight"):
        one, other = getattr(whole, name), getattr(part, name)
        if one is None:
            assert other is None
        else:
            torch.testing.assert_close(other, one[slice(*rows)], rtol=0, atol=1e-6)


def test_mixup_is_convex_and_keeps_both_labels():
    inputs = images(16)
    mixed = loader(replace(PLAIN, mixup=0.5), inputs).batch(3)
    plain = loader(PLAIN, inputs).batch(3)
    weight = mixed.weight[:, None, None, None]
    assert ((mixed.weight >= 0) & (mixed.weight <= 1)).all()
    partner = torch.from_numpy(draw(replace(PLAIN, mixup=0.5), 7, 3).partner)
    assert torch.equal(mixed.labels, plain.labels)
    assert torch.equal(mixed.other, plain.labels[partner])
    expected = weight * plain.inputs + (1 - weight) * plain.inputs[partner]
    torch.testing.assert_close(mixed.inputs, expected)


def test_other_resolutions_are_bilinear_with_antialiasing():
    inputs = images(16, (1, 28, 28))
    loads = loader(PLAIN, inputs, (1, 14, 14))
    assert loads.batch(0).inputs.shape == (16, 1, 14, 14)
    small = loads.heldout(slice(0, 1))[0, 0].numpy()
    full = Image.fromarray(inputs[0, 0].astype(np.float32) / 255)
    theirs = np.asarray(full.resize((14, 14), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(small, theirs, atol=1e-5)
    assert loader(PLAIN, inputs, (1, 40, 40)).heldout(slice(0, 2)).shape == (2, 1, 40, 40)


def test_standardised_inputs_have_mean_0_and_deviation_1():
    inputs = images(300, (3, 4, 4)) // np.array([1, 2, 4], np.uint8)[:, None, None]
    inputs = np.concatenate([inputs, inputs])
    inputs[:, 0, 0, 0] = 255
    shown = loader(replace(PLAIN, standardise=True), inputs).heldout(slice(None))
    assert shown.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(shown.std((0, 2, 3), correction=0), torch.ones(3))
    rows = np.random.default_rng(0).normal(3, 5, (50, 4)).astype(np.float32)
    rows[:, 2] = 9  # constant
    shown = loader(replace(PLAIN, standardise=True), rows).heldout(slice(None))
    assert shown[:, 2].abs().max() == 0
    torch.testing.assert_close(shown[:, :2].std(0, correction=0), torch.ones(2))


def test_held_out_images_are_never_augmented():
    inputs = images()
    shown = loader(replace(ALL, standardise=False), inputs).heldout(slice(None))
    assert torch.equal(shown, torch.from_numpy(inputs).float() / 255)


def test_the_mixed_loss_is_that_of_mixed_targets():
    from scaling.training.task import Classify

    class Task(Classify):
        def __init__(self, train, data):
            self.loader = Loader(data, train, 7, data.info.input_shape, CPU)
            self.spec = type("Spec", (), {"train": train})()

        def _forward(self, model, inputs):
            return model(inputs)

    train = replace(ALL, label_smoothing=0.1)
    data = data_of(images(40))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 6, 4))
    batch = Loader(data, train, 7, data.info.input_shape, CPU).batch(2)
    hard, other = F.one_hot(batch.labels, 4).float(), F.one_hot(batch.other, 4).float()
    weight = batch.weight[:, None]
    soft = weight * hard + (1 - weight) * other
    expected = F.cross_entropy(model(batch.inputs), soft, label_smoothing=0.1)
    torch.testing.assert_close(Task(train, data).loss(model, 2), expected)


@pytest.mark.parametrize(
    ("train", "inputs", "shape", "message"),
    [
        (replace(PLAIN, crop_padding=6), images(), None, "crop_padding 6 moves all of an image"),
        (replace(PLAIN, flip=True), np.zeros((9, 4), np.float32), None, "has no images to augment"),
        (
            replace(PLAIN, colour_jitter=0.1),
            np.zeros((9, 1, 4, 4), np.float32),
            None,
            "colour_jitter is for images of bytes",
        ),
        (PLAIN, images(), (1, 8, 6), r"takes inputs of \(1, 8, 6\), data set some has \(3, 8, 6\)"),
    ],
)
def test_what_cannot_be_done_is_refused(train, inputs, shape, message):
    with pytest.raises(ValueError, match=message):
        loader(train, inputs, shape)
