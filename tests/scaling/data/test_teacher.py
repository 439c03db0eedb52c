"""The teacher's labels are those of its network, the same everywhere, noisy as asked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scaling.data import describe_data, open_data
from scaling.data.batches.examples import ExampleData


def teacher(options: str = "") -> ExampleData:
    data = open_data(f"teacher:{options}" if options else "teacher")
    assert isinstance(data, ExampleData)
    return data


def test_default_teacher_is_pinned():
    info = describe_data("teacher")
    assert info == teacher().info
    assert (info.unit, info.num_classes, info.input_shape) == ("example", 10, (16,))
    assert (info.train_size, info.heldout_size) == (50_000, 10_000)
    assert info.fingerprint == "26ed2392a9455a9e"


def test_inputs_are_standard_normal_and_classes_all_used():
    data = teacher("features=3,examples=4000")
    rounded = 1 / 64 / np.sqrt(12)  # standard deviation of the rounding
    assert stats.kstest(data.train_inputs.ravel(), "norm").statistic < 0.01 + rounded
    assert np.bincount(data.train_labels, minlength=10).min() > 0


def test_noise_replaces_that_share_of_the_labels():
    clean, noisy = teacher("classes=4"), teacher("classes=4,noise=0.2")
    np.testing.assert_array_equal(clean.heldout_inputs, noisy.heldout_inputs)
    changed = int((clean.heldout_labels != noisy.heldout_labels).sum())
    assert stats.binomtest(changed, 10_000, 0.2 * 3 / 4).pvalue > 1e-4


def test_heldout_examples_do_not_depend_on_the_number_of_training_examples():
    few, many = teacher("examples=100"), teacher("examples=1000")
    np.testing.assert_array_equal(few.heldout_inputs, many.heldout_inputs)
    np.testing.assert_array_equal(few.heldout_labels, many.heldout_labels)
    np.testing.assert_array_equal(few.train_inputs, many.train_inputs[:100])
    assert few.info.fingerprint != many.info.fingerprint


def test_a_nearest_neighbour_beats_chance_and_more_data_helps():
    from sklearn.neighbors import KNeighborsClassifier

    data = teacher("features=4,classes=3")
    scores = [
        KNeighborsClassifier(1)
        .fit(data.train_inputs[:n], data.train_labels[:n])
        .score(data.heldout_inputs, data.heldout_labels)
        for n in (30, 300, 3000)
    ]
    assert 1 / 3 < scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("colour=3", "no option 'colour'; there are features, hidden"),
        ("seed=x", "seed='x' is no whole number"),
        ("noise=2", "noise=2.0 must be between 0 and 1"),
        ("features=0", "features=0 must be between 1 and 1024"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        describe_data(f"teacher:{options}")


def test_the_name_does_not_depend_on_the_order_of_options():
    one, other = (
        describe_data("teacher:seed=3,classes=5"),
        describe_data("teacher:classes=5,seed=3"),
    )
    assert one == other
    assert describe_data(one.name) == one
