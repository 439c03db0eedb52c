"""Row filters: what they keep, and what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables.where import rows_where

TABLE = pd.DataFrame(
    {
        "n": [1.0, 20.0, np.nan, 4.0],
        "seed": [0, 1, 2, 0],
        "family": ["a", "b", "b", "a"],
        "excluded": [True, False, False, True],
        "smooth loss": [3.0, 2.0, 1.0, 0.5],
    }
)


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("n > 3", [1, 3]),
        ("excluded == False", [1, 2]),
        ("not excluded", [1, 2]),
        ("excluded == false and seed != 2", [1]),
        ("family == 'b' or seed == 0", [0, 1, 2, 3]),
        ("seed in [0, 2]", [0, 2, 3]),
        ("family not in ['a']", [1, 2]),
        ("1 < n <= 4", [3]),
        ("`smooth loss` < 2", [2, 3]),
        ("2 * n - 1 > 10 ** 1", [1]),
        ("-n > -2", [0]),
        ("(seed == 0) & (n > 1)", [3]),
    ],
)
def test_keeps(expression, kept):
    assert np.flatnonzero(rows_where(TABLE, expression)).tolist() == kept


@given(low=st.floats(-10, 30), high=st.floats(-10, 30))
def test_agrees_with_pandas(low, high):
    ours = rows_where(TABLE, f"n >= {low!r} and n < {high!r}")
    assert ours.tolist() == TABLE.eval(f"n >= {low!r} and n < {high!r}").tolist()


def test_text_of_truth_counts_as_truth():
    table = pd.DataFrame({"excluded": ["True", "False", None, "yes"]})
    assert rows_where(table, "not excluded").tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("exclded == False", "do you mean 'excluded'"),
        ("zzz > 1", "the columns are n, seed"),
        ("n >", "cannot be read"),
        ("__import__('os').system('true')", "is not allowed"),
        ("n.max() > 1", "is not allowed"),
        ("n[0] > 1", "is not allowed"),
        ("[x for x in n]", "is not allowed"),
        ("lambda: 1", "is not allowed"),
        ("3 > 2", "names no column"),
        ("n < 'a'", "cannot be computed"),
        ("9**9**9**9 > n", "cannot be computed"),
        ("n is 3", "instead of 'is'"),
        ("3 in n", "needs a column on its left"),
        ("[1, 2]", "a list is no condition"),
        ("n == [1, 2]", "a list is no condition"),
        ("not " * 3000 + "n > 1", "nested too deep (12005 characters)"),
        ("+".join(["n"] * 5000) + " > 1", "nested too deep (10003 characters)"),
    ],
)
def test_refuses(expression, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        rows_where(TABLE, expression)
