"""Arithmetic in text against Python's own, and what it refuses."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.base import Arithmetic

NAMES = {"depth": 3, "width": 64, "lr": 0.25}
LEAVES = st.one_of(
    st.integers(0, 9).map(str), st.sampled_from(list(NAMES)), st.floats(0.1, 9).map(repr)
)
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=8,
)


@given(FORMULAS)
def test_it_says_what_python_says(text):
    formula = Arithmetic(text)
    try:
        expected = eval(text, {}, dict(NAMES))
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="zero"):
            formula.value(NAMES)
        return
    assert formula.value(NAMES) == expected
    assert set(formula.names) == {name for name in NAMES if name in text}


def test_functions_and_whole_numbers():
    assert Arithmetic("max(1, ceil(width / 3)) ^ 2 // 5").value(NAMES) == 22**2 // 5
    assert Arithmetic("log(exp(lr)) - sqrt(16) + round(2.6)").value(NAMES) == pytest.approx(-0.75)
    assert isinstance(Arithmetic("12*depth*width**2").value(NAMES), int)
    dotted = Arithmetic("max(model.width, 2) * model.depth + model.width")
    assert dotted.names == ("model.width", "model.depth")
    assert dotted.value({"model.width": 8, "model.depth": 2}) == 24


@pytest.mark.parametrize(
    "text, said",
    [
        ("width +", "cannot be read"),
        ("__import__('os')", "not understood"),
        ("log(width).real", "not understood"),
        ("[1, 2][0]", "not understood"),
        ("open(width)", "not understood"),
        ("True + 1", "not understood"),
        ("1 if width else 2", "not understood"),
        ("-" * 600 + "1", "the limit is"),
    ],
)
def test_what_is_no_arithmetic_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        Arithmetic(text)


@pytest.mark.parametrize(
    "text, said",
    [
        ("9**9**9", "beyond"),
        ("hight * 2", "needs hight, which is not set"),
        ("width.real * 2", "needs width.real, which is not set"),
        ("1 / (width - 64)", "zero"),
        ("log(0 * width)", "domain"),
        ("word + 1", "which is no number"),
        ("(-1)**0.5", "no number"),
    ],
)
def test_what_has_no_value_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        Arithmetic(text).value({**NAMES, "word": "abc"})
    assert math.isfinite(Arithmetic("width").value(NAMES))
