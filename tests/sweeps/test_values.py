"""Written and spaced lists of values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.document import Document
from sweeps.values import values


def of(value):
    return values(Document({}, "f.yaml"), value, ("x",))


def test_a_list_is_itself_and_a_value_a_list_of_one():
    assert of([3, 1, 2]) == [3, 1, 2]
    assert of("gelu") == ["gelu"]
    assert of(False) == [False]
    assert of([[1, 2], [3, 4]]) == [[1, 2], [3, 4]]


@given(
    low=st.floats(1e-6, 1e12),
    ratio=st.floats(1.001, 1e9),
    count=st.integers(2, 40),
)
def test_log_spacing_is_numpys(low, ratio, count):
    high = low * ratio
    spaced = of({"log": [low, high, count]})
    np.testing.assert_allclose(spaced, np.geomspace(low, high, count), rtol=1e-9)


@given(low=st.integers(-1000, 1000), span=st.integers(1, 1000), count=st.integers(2, 40))
def test_linear_spacing_is_numpys(low, span, count):
    spaced = of({"linear": [low, low + span, count]})
    np.testing.assert_allclose(spaced, np.linspace(low, low + span, count), rtol=1e-9, atol=1e-9)


def test_range_is_pythons():
    assert of({"range": [2, 10, 3]}) == [2, 5, 8]
    assert of({"range": [0, 3]}) == [0, 1, 2]
    assert of({"range": [3, 0, -1]}) == [3, 2, 1]


def test_rounding_gives_multiples_each_once():
    assert of({"log": [10, 100, 4], "round_to": 8}) == [8, 24, 48, 96]
    assert of({"log": [1, 16, 9], "round_to": 8}) == [8, 16]
    assert of({"linear": [0, 1, 5], "round_to": 0.5}) == [0.0, 0.5, 1.0]
    assert all(isinstance(v, int) for v in of({"log": [10, 100, 4], "round_to": 8}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "x is an empty list"),
        ([1, None], "x must hold values, not nothing"),
        ([{"a": 1}], "x must hold values, not a mapping"),
        ({}, "x has no spacing: give one of log, linear, range"),
        ({"lgo": [1, 2, 3]}, "unknown key 'lgo': did you mean 'log'"),
        ({"log": [1, 2, 3], "linear": [1, 2, 3]}, "x has both log and linear"),
        ({"log": [1, 2]}, r"log takes \[low, high, count\], not \[1, 2\]"),
        ({"log": 5}, r"log takes \[low, high, count\], not 5"),
        ({"log": [0, 2, 3]}, r"log needs numbers above 0, not \[0, 2\]"),
        ({"log": [1, "b", 3]}, "must be a number, not a text"),
        ({"log": [1, 10**400, 3]}, "item 2 of log is too large"),
        ({"log": [1, True, 3]}, "must be a number, not true/false"),
        ({"log": [1, float("inf"), 3]}, "is not finite"),
        ({"log": [1, 2, 2.5]}, "count 2.5 is not a whole number"),
        ({"log": [1, 2, 0]}, "count 0 is not a whole number from 1"),
        ({"log": [1, 2, 1]}, "count 1 leaves the range"),
        ({"log": [1, 2, 3], "round_to": 0}, "round_to 0 must be above 0"),
        ({"range": [1, 5, 0]}, "range has step 0"),
        ({"range": [5, 1]}, r"range \[5, 1, 1\] is empty"),
        ({"range": [1, 2.5]}, "range takes whole numbers, not 2.5"),
        ({"range": [1, 5], "round_to": 2}, "round_to goes with log or linear"),
        ({"range": [0, 10**9]}, "range has 1000000000 values; the limit is 1000000"),
    ],
)
def test_refused(value, message):
    with pytest.raises(ValueError, match=message):
        of(value)
