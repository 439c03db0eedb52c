"""Text that is filled from values: its names, words, formats, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.base import as_word, fill, placeholders, whole


@given(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_and_other_text_stays(text, count, rate):
    escaped = text.replace("{", "{{").replace("}", "}}")
    filled = fill(escaped + "|{count}|{rate}", {"count": count, "rate": rate})
    assert filled.startswith(text + "|")
    _, seen_count, seen_rate = filled.rsplit("|", 2)
    assert int(seen_count) == count and float(seen_rate) == rate


def test_whole_numbers_have_no_point():
    assert fill("--steps={n} --flag={f}", {"n": 1e6, "f": False}) == "--steps=1000000 --flag=false"
    assert [as_word(v) for v in (2.5, 1e300, None)] == ["2.5", "1e+300", "null"]
    assert whole(3.0) == 3 and isinstance(whole(3.0), int)


def test_names_in_order_with_dots_and_formats():
    assert placeholders("{b:.2e}-{a.x}-{b}") == ["b", "a.x"]
    assert fill("{lr:.1e} {model.width:04d}", {"lr": 0.02, "model.width": 64}) == "2.0e-02 0064"


@pytest.mark.parametrize("text", ["{", "a}b", "{}", "{0}", "{a[0]}", "{a!r}"])
def test_what_cannot_be_filled_is_refused(text):
    with pytest.raises(ValueError):
        fill(text, {"a": 1, "0": 2})


def test_a_name_without_a_value_and_a_wrong_format_are_named():
    with pytest.raises(ValueError, match="there is no lr"):
        fill("--lr {lr}", {})
    with pytest.raises(ValueError, match=r"lr = 'high'"):
        fill("--lr {lr:.2e}", {"lr": "high"})
