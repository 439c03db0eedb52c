"""Numbers as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.importing.numbers import count_of
from scaling.table_file import number_of, plain_value


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("125M", 125_000_000),
        ("1.3e9", 1.3e9),
        ("1,000,000", 1_000_000),
        ("2,600,000,000.5", 2_600_000_000.5),
        ("1.3B", 1_300_000_000),
        ("350 m", 350_000_000),
        ("1_000", 1000),
        (" 7 ", 7),
        ("-0.5", -0.5),
        (".5k", 500),
        (3, 3),
    ],
)
def test_a_written_number_is_one(written, number):
    assert number_of(written) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "three",
        "1,00",
        "1.2.3",
        "12 layers",
        "0x10",
        pytest.param("9" * 400, id="digits"),
        "1e999M",
        None,
        True,
        [1],
    ],
)
def test_what_is_none_is_quoted(text):
    with pytest.raises(ValueError, match="is not a number") as refusal:
        number_of(text)
    assert str(refusal.value).startswith(repr(text)[:60])


@given(st.floats(allow_nan=False))
def test_a_float_comes_back_to_the_bit(value):
    assert number_of(repr(value)) == value == number_of(value)
    assert plain_value(repr(value)) == value


@given(st.integers(-(10**300), 10**300))
def test_an_integer_of_any_size_stays_whole(value):
    assert plain_value(str(value)) == value == number_of(str(value))


def test_not_a_number_is_a_number_there():
    assert math.isnan(number_of("NaN"))


def test_text_that_only_looks_like_a_number_stays_text():
    assert [plain_value(text) for text in ("007", "1_0", "125M", "+5", "v1")] == [
        "007", "1_0", "125M", "+5", "v1",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [0, "-3", "NaN", "inf"])
def test_a_count_is_above_zero(value):
    with pytest.raises(ValueError, match="is not above 0"):
        count_of(value)
    assert isinstance(count_of("1.3e9"), int)
