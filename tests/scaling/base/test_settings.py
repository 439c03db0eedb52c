"""``KEY=VALUE`` on a command line."""

from __future__ import annotations

import pytest

from scaling.base import parse_settings


def test_values_are_yaml():
    words = ["a=1", " b =[1, x]", "c=", "d=x=y"]
    assert parse_settings(words) == {"a": 1, "b": [1, "x"], "c": None, "d": "x=y"}


@pytest.mark.parametrize("word", ["depth", "=3", ""])
def test_a_word_that_is_no_pair_is_refused(word):
    with pytest.raises(ValueError, match=f"^--set '{word}' is not KEY=VALUE$"):
        parse_settings([word])
    with pytest.raises(ValueError, match=f"^no pair: '{word}'$"):
        parse_settings([word], refused="no pair: {!r}")


@pytest.mark.parametrize("value", ["[3", "2020-13-45"])
def test_a_value_that_is_no_yaml_is_refused_or_text(value):
    with pytest.raises(ValueError, match="the value is not YAML: close its brackets and quotes"):
        parse_settings([f"a={value}"])
    assert parse_settings([f"a={value}"], text=True) == {"a": value}
