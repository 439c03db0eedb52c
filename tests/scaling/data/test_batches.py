"""Batches are a function of step and seed, and an epoch visits everything once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data import describe_data, open_data
from scaling.data.batches.examples import ExampleData
from scaling.data.batches.order import batch_indices
from scaling.data.batches.tokens import TokenData
from scaling.data.info import DataInfo


def token_data(train: int, heldout: int = 100) -> TokenData:
    info = DataInfo("small", "0" * 16, "token", train, heldout, vocab_size=2**16)
    return TokenData(info, np.arange(train, dtype=np.uint16), np.arange(heldout, dtype=np.uint16))


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 60),
    batch_size=st.integers(1, 150),
    seed=st.integers(0, 2**32),
    epochs=st.integers(1, 3),
)
def test_every_index_comes_once_per_epoch(size, batch_size, seed, epochs):
    steps = -(-epochs * size // batch_size)
    drawn = np.concatenate([batch_indices(s, batch_size, size, seed) for s in range(steps)])
    assert all(len(batch_indices(s, batch_size, size, seed)) == batch_size for s in range(steps))
    for epoch in np.split(drawn[: epochs * size], epochs):
        assert sorted(epoch.tolist()) == list(range(size))


@settings(deadline=None, max_examples=40)
@given(tokens=st.integers(9, 400), context=st.integers(1, 8), batch_size=st.integers(1, 9))
def test_an_epoch_predicts_every_token_of_a_whole_window_once(tokens, context, batch_size):
    data = token_data(tokens)
    windows = (tokens - 1) // context
    steps = -(-windows // batch_size)
    rows = np.concatenate(
        [data.batch(s, context=context, batch_size=batch_size, seed=3) for s in range(steps)]
    )[:windows]
    assert rows.dtype == np.int64
    assert (np.diff(rows, axis=1) == 1).all()  # each row is a run of the stream
    assert sorted(rows[:, 1:].ravel().tolist()) == list(range(1, windows * context + 1))


def test_a_step_can_be_asked_for_in_any_order():
    data = token_data(1000)
    forward = [data.batch(s, context=7, batch_size=4, seed=5) for s in range(100)]
    for step in (99, 0, 50, 36, 35):
        again = data.batch(step, context=7, batch_size=4, seed=5)
        np.testing.assert_array_equal(again, forward[step])


def test_seeds_and_epochs_have_orders_of_their_own():
    data = token_data(1000)

    def first(seed: int, step: int) -> list[int]:
        return data.batch(step, context=1, batch_size=999, seed=seed)[:, 0].tolist()

    assert first(0, 0) == first(0, 0)
    assert len({tuple(first(seed, step)) for seed in (0, 1) for step in (0, 1)}) == 4


@settings(deadline=None, max_examples=40)
@given(heldout=st.integers(2, 500), context=st.integers(1, 50), limit=st.integers(1, 60))
def test_heldout_windows_are_evenly_spread(heldout, context, limit):
    size = (heldout - 1) // context
    data = token_data(10, heldout)
    if size == 0:
        with pytest.raises(ValueError, match=f"context {context} needs {context + 1} tokens"):
            data.heldout_windows(context)
        return
    whole = data.heldout_windows(context)
    np.testing.assert_array_equal(whole[:, 0], np.arange(size) * context)
    some = data.heldout_windows(context, limit)[:, 0] // context
    assert len(some) == min(limit, size) == len(set(some.tolist()))
    gaps = np.diff([-1 - some[0], *some, 2 * size - 1 - some[-1]])  # mirrored at both ends
    assert gaps.max() - gaps.min() <= 2


@settings(deadline=None, max_examples=60)
@given(
    heldout=st.integers(60, 500),
    context=st.integers(1, 50),
    limit=st.none() | st.integers(1, 60),
    part=st.integers(1, 9),
)
def test_heldout_windows_in_parts_are_the_whole(heldout, context, limit, part):
    data = token_data(10, heldout)
    count = data.num_heldout_windows(context, limit)
    parts = [
        data.heldout_windows(context, limit, slice(i, i + part)) for i in range(0, count, part)
    ]
    assert {len(windows) for windows in parts[:-1]} <= {part}
    np.testing.assert_array_equal(np.concatenate(parts), data.heldout_windows(context, limit))


def test_too_long_a_context_says_so():
    with pytest.raises(ValueError, match="context 100 needs 101 tokens; small has 50"):
        token_data(50).batch(0, context=100, batch_size=1, seed=0)
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        token_data(50).batch(0, context=10, batch_size=0, seed=0)


def test_digits_are_split_once_and_for_all(tmp_path):
    from sklearn.datasets import load_digits

    data = open_data("digits", tmp_path)
    assert isinstance(data, ExampleData)
    assert data.info == describe_data("digits", tmp_path)
    assert data.info.fingerprint == "4f8b7d643dd87fd1"
    assert data.info.input_shape == data.train_inputs.shape[1:] == (1, 8, 8)
    assert data.train_inputs.dtype == np.uint8
    assert data.train_inputs.max() == 255
    train = {image.tobytes() for image in data.train_inputs}
    assert not train & {image.tobytes() for image in data.heldout_inputs}
    ours = np.concatenate([data.train_inputs, data.heldout_inputs]).reshape(-1, 64)
    labels = np.concatenate([data.train_labels, data.heldout_labels])
    theirs = load_digits()
    assert len(ours) == 1797
    for label in range(10):  # the same images in each class
        mine = np.sort(ours[labels == label].sum(axis=0, dtype=np.int64))
        want = np.rint(theirs.data[theirs.target == label] * 255 / 16).sum(axis=0)
        np.testing.assert_array_equal(mine, np.sort(want))


def test_example_batches_keep_inputs_and_labels_together(tmp_path):
    data = open_data("digits", tmp_path)
    assert isinstance(data, ExampleData)
    known = {
        (image.tobytes(), int(label))
        for image, label in zip(data.train_inputs, data.train_labels, strict=True)
    }
    seen = []
    for step in range(3):
        inputs, labels = data.batch(step, batch_size=479, seed=1)
        seen += [(x.tobytes(), int(y)) for x, y in zip(inputs, labels, strict=True)]
    assert len(seen) == data.info.train_size == 3 * 479
    assert set(seen) == known
