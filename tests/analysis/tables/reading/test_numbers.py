"""Numbers as people write them: round trips, commas told by the column, mixed units refused."""

from __future__ import annotations

import math
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables import TableReading, load_runs
from analysis.tables.reading.header import header_of
from analysis.tables.reading.numbers import decimal_mark, parsed

UNITS = {"k": 3, "K": 3, "M": 6, "m": 6, "B": 9, "b": 9, "G": 9, "T": 12, " million": 6, " bn": 9}


def read(*cells, **asked):
    return parsed(pd.Series(cells, dtype=object), "x", **asked)


@given(digits=st.integers(1, 999_999), places=st.integers(0, 3), unit=st.sampled_from([*UNITS]))
def test_a_number_with_a_unit_is_that_many(digits, places, unit):
    number = Decimal(digits).scaleb(-places)
    values, faults = read(f"{number:f}{unit}")
    assert not faults
    assert values[0] == float(number.scaleb(UNITS[unit]))


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_plain_numbers_are_read_to_the_bit(numbers):
    values, faults = read(*map(repr, numbers))
    assert not faults
    assert values.tolist() == numbers


@given(st.lists(st.integers(1000, 10**14), min_size=1, max_size=8))
def test_thousands_are_read_where_one_number_has_two_groups(counts):
    counts = [1_234_567, *counts]
    for mark in (",", "."):
        values, faults = read(*[f"{count:,}".replace(",", mark) for count in counts])
        assert not faults
        assert values.tolist() == counts


@given(st.lists(st.decimals(0, 99, places=2), min_size=1, max_size=8))
def test_decimal_commas_are_read_where_no_thousand_ends_so(numbers):
    texts = [f"{number:f}" for number in numbers]
    values, faults = read(*[text.replace(".", ",") for text in texts])
    assert not faults
    assert values.tolist() == [float(text) for text in texts]


@given(whole=st.integers(1, 999), rest=st.integers(0, 999))
def test_a_comma_in_doubt_is_refused_unless_the_file_tells(whole, rest):
    text = f"{whole},{rest:03d}"
    _, faults = read(text)
    assert "--decimal" in faults[0].message
    assert read(text, mark=",")[0][0] == float(f"{whole}.{rest:03d}")
    assert read(text, mark=".")[0][0] == 1000 * whole + rest


def test_the_mark_of_a_file_is_told_by_one_column_and_not_by_two_that_differ():
    sure, doubt = pd.Series(["3,91", "3,4"]), pd.Series(["1,234", "5,678"])
    assert decimal_mark([doubt]) is None
    assert decimal_mark([doubt, sure]) == ","
    assert decimal_mark([sure, pd.Series(["2.5B", "70M"])]) is None
    assert decimal_mark([sure, pd.Series(["a, b", "c"])]) == ","


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["70M", "160M", "410"], "row 2, column 'x': '410' has no unit where others have (70M)"),
        (["3,91", "2.5"], "row 0, column 'x': '3,91' has a decimal comma and other rows a point"),
        (["1", "two"], "row 1, column 'x': 'two' is not a number; write it plainly"),
        (["1", 'it\'s "2"'], "leave the row out: --where"),
        ([True, False], "row 0, column 'x': 'True' is not a number"),
        (["1", [2]], "'[2]' is not a number"),
    ],
)
def test_a_fault_names_row_column_and_remedy(cells, says):
    _, faults = read(*cells)
    assert says in faults[0].message


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12 %", 0.12), ("1.5 PFLOPs", 1.5e15), ("2e3 EFLOP", 2e21), ("~70M params", 70e6),
        ("3.41 ± 0.02", 3.41), ("1.2·10^9", 1.2e9), ("10**21", 1e21), ("−3.5", -3.5),
        ("1 234 567", 1234567), ("1'234'567", 1234567), ("1_000", 1000), ("inf", math.inf),
    ],
)  # fmt: skip
def test_other_ways_to_write_a_number(cell, value):
    values, faults = read(cell)
    assert not faults
    assert values[0] == pytest.approx(value, rel=1e-15)


def test_all_texts_of_a_column_are_left_out_at_once():
    _, faults = read("3.1", "diverged", "OOM", "diverged")
    assert "all 3 such rows out: --where \"x not in ['diverged', 'OOM']\"" in faults[0].message


@pytest.mark.parametrize("cell", ["", "-", "n/a", "?", "TBD", None, float("nan"), "—"])
def test_what_stands_for_nothing(cell):
    values, faults = read(cell, "7")
    assert not faults
    assert math.isnan(values[0])


@pytest.mark.parametrize(
    ("name", "base", "factor"),
    [
        ("Model Size (B)", "Model Size", 1e9), ("FLOPs (1E21)", "FLOPs", 1e21),
        ("params (in millions)", "params", 1e6), ("N (10^6)", "N", 1e6),
        ("tokens_b", "tokens", 1e9), ("data_in_trillions", "data", 1e12), ("N/1e6", "N", 1e6),
        ("PFLOPs", "flops", 1e15), ("train_zflops", "train flops", 1e21),
        ("compute (PF-days)", "compute", 86400e15), ("C (PFLOP/s-days)", "C", 86400e15),
        ("C (TFLOP/s)", "C (TFLOP/s)", 1), ("Tokens [B tokens]", "Tokens", 1e9),
        ("loss", "loss", 1), ("d_k", "d_k", 1), ("eval (C4)", "eval (C4)", 1),
        ("loss (v2)", "loss (v2)", 1), ("PF-days", "flops", 86400e15), ("gflops", "gflops", 1),
        ("D (tokens)", "D", 1), ("Token (Mrd.)", "Token", 1e9),
        ("petaflop/s-days", "flops", 86400e15), ("compute in exaFLOPs", "compute flops", 1e18),
        ("train_flops_1e18", "train_flops", 1e18), ("PFLOP/s", "PFLOP/s", 1),
    ],
)  # fmt: skip
def test_a_header_says_its_unit(name, base, factor):
    header = header_of(name)
    assert (header.base, header.factor) == (base, pytest.approx(factor))


def test_a_row_with_text_may_be_left_out_by_its_own_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("params,tokens,loss\n70M,1B,3.5\n160M,Pile,3.2\n,,\n410M,4B,3\n")
    with pytest.raises(ValueError, match=r'line 3.*--where "tokens != \'Pile\'"'):
        load_runs(path)
    table = load_runs(path, where="tokens != 'Pile'")
    assert table["num_tokens"].tolist() == [1e9, 4e9]
    assert "left out, empty: 1 row (line 4)" in table.attrs["notes"]


def test_thousands_in_doubt_are_read_once_the_mark_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('N,D,loss\n"1,250",2e7,3.5\n"2,500",3e7,3.2\n')
    with pytest.raises(ValueError, match=r"line 2, column 'N': '1,250' may be thousands"):
        load_runs(path)
    assert load_runs(path, how=TableReading(decimal="."))["num_params"].tolist() == [1250, 2500]
    assert load_runs(path, how=TableReading(decimal=","))["num_params"].tolist() == [1.25, 2.5]
    with pytest.raises(ValueError, match="--decimal ';' is neither"):
        TableReading(decimal=";")
