"""Somebody's file: spellings, faults with line and column, units, nothing lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, place


def read_table(path, columns=None):
    return load_runs(path, columns=columns)


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_usual_spellings_are_found_and_the_files_own_columns_stay(tmp_path):
    path = write(tmp_path, "N,Training Tokens,FLOPs,val_loss,note\n1e6,2e7,1.2e14,3.5,first\n")
    table = read_table(path)
    row = table.iloc[0]
    assert (row["num_params"], row["num_tokens"], row["flops"], row["loss"]) == (
        1e6,
        2e7,
        1.2e14,
        3.5,
    )
    assert row["note"] == "first"
    assert row["N"] == 1e6
    assert "num_params is the column 'N'" in table.attrs["notes"]
    # a frame copies its notes: what each is about goes along
    about = {note.about for note in table[table["loss"] > 0].copy().attrs["notes"]}
    assert about == {"num_params", "num_tokens", "flops", "loss"}


def test_a_named_column_wins_over_a_spelling(tmp_path):
    path = write(tmp_path, "N,D,loss,loss_c4\n1e6,2e7,3.5,4.5\n")
    assert read_table(path, {"loss": "loss_c4"})["loss"].tolist() == [4.5]


def test_every_kind_of_file_gives_the_same_table(tmp_path):
    frame = pd.DataFrame({"num_params": [1e6, 2e6], "num_tokens": [2e7, 3e7], "loss": [3.5, 3.25]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.csv", index=False, sep=";")
    frame.to_csv(tmp_path / "c.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "e.parquet")
    (tmp_path / "f.csv").write_text("# source: a paper\n" + (tmp_path / "a.csv").read_text())
    tables = [read_table(path) for path in sorted(tmp_path.iterdir())]
    assert len(tables) == 6
    for table in tables:
        pd.testing.assert_frame_equal(table[list(frame.columns)], frame)


def test_rows_without_a_usable_value_stay_with_their_reason(tmp_path):
    path = write(
        tmp_path, "N,D,loss\n1e6,2e7,3.5\n2e6,2e7,\n3e6,2e7,-1\n-4e6,2e7,3.1\n5e6,inf,3.0\n"
    )
    table = read_table(path)
    assert table["exclude_reason"].tolist() == [
        "",
        "loss missing",
        "",  # whether a loss may be negative is the law's to say
        "num_params is -4e+06, not positive",
        "num_tokens is inf",
    ]
    assert "left out, loss missing: 1 row (line 3)" in table.attrs["notes"]


@pytest.mark.parametrize(
    ("text", "reasons", "says"),
    [
        ("N,D,loss\n,2e7,3\n1e6,,3\n1e6,2e7,3\n", ["", "", ""],
         "num_params missing: line 2, not used where it is needed"),
        ("N,D,C,loss\n1e6,,1.2e14,3\n1e6,2e7,,3\n", ["", ""],
         "num_tokens is flops / (6 num_params): none in line 2"),
        ("N,D,C,loss\n1e6,,1.2e14,3\n1e6,,1.2e14,3\n", ["", ""],
         "num_tokens is flops / (6 num_params): the table has none"),
        ("N,D,loss\n,2e7,3\n,2e7,3\n", ["", ""], "num_tokens is the column 'D'"),
    ],
)  # fmt: skip
def test_a_missing_size_is_derived_or_said(tmp_path, text, reasons, says):
    table = read_table(write(tmp_path, text))
    assert table["exclude_reason"].tolist() == reasons
    assert says in table.attrs["notes"]
    used = table[table["exclude_reason"] == ""].dropna(axis=1)
    if {"num_params", "num_tokens"} <= set(used.columns):
        assert used["num_tokens"].tolist() == pytest.approx([2e7] * len(used))
        assert used["flops"].tolist() == pytest.approx([1.2e14] * len(used))


def test_tokens_come_from_compute_when_there_are_none(tmp_path):
    table = read_table(write(tmp_path, "N,C,loss\n1e6,1.2e14,3.5\n"))
    assert table["num_tokens"].tolist() == pytest.approx([2e7])


def test_compute_comes_from_the_sizes_when_there_is_none(tmp_path):
    table = read_table(write(tmp_path, "N,D,loss\n1e6,2e7,3.5\n"))
    assert table["flops"].tolist() == pytest.approx([1.2e14])
    assert "flops is 6 num_params num_tokens: the table has none" in table.attrs["notes"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("N,D,loss\n", "has no rows"),
        ("N,D,loss\n1,2,3\n4,5,abc\n", "line 3, column 'loss': 'abc' is not a number"),
        ("N,D,loss\n1.2Q,5,3\n", "line 2, column 'N': '1.2Q' is not a number"),
        ("# two\n# lines\nN,D,loss\n1,2,x\n", "line 4, column 'loss'"),
        ("N,D,loss\n1,2,True\n4,5,False\n", "line 2, column 'loss': 'True' is not a number"),
        ("N,D,loss\n1,2,3\n4,5,6,7,8\n", "line 3 has 5 fields, the line of names 3"),
    ],
)
def test_a_fault_in_a_csv_names_file_and_place(tmp_path, text, says):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=says) as caught:
        read_table(path)
    assert "runs.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.csv", b"\xff\x00\x80", "byte 0 is not UTF-8"),
        ("x.jsonl", b'{"N": 1}\n{"N":\n', "line 2 is not JSON"),
        ("x.jsonl", b'{"loss": 1}\n{"loss": true}\n', "line 2, column 'loss': 'True' is not"),
        ("x.jsonl", b"[1]\n", "line 1 is not a JSON object"),
        ("x.parquet", b"no parquet", "x.parquet"),
        ("x.doc", b"", "not '.doc'"),
    ],
)
def test_a_file_that_is_not_of_its_kind(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=says):
        read_table(tmp_path / name)


def test_a_named_column_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="no column 'foo' for loss; the file has N, D, L"):
        read_table(write(tmp_path, "N,D,L\n1e6,1e8,3\n"), {"loss": "foo"})


GOOD = pd.DataFrame(
    {"num_params": np.geomspace(1e6, 1e9, 9), "num_tokens": np.geomspace(2e7, 2e10, 9)}
).assign(flops=lambda t: 6 * t.num_params * t.num_tokens, loss=np.linspace(4, 2, 9))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_tokens": 1e-9}, "off by about 1e9"),
        ({"num_params": 1e-6}, "off by about 1e6"),
        ({"flops": 1e-15}, "off by about 1e15"),
    ],
)
def test_a_unit_that_is_off_is_named(tmp_path, change, says):
    frame = GOOD.assign(**{name: GOOD[name] * factor for name, factor in change.items()})
    frame.to_csv(tmp_path / "a.csv", index=False)
    notes = " ".join(read_table(tmp_path / "a.csv").attrs["notes"])
    assert says in notes


def test_units_without_compute_and_units_in_one_row(tmp_path):
    (GOOD / {"num_params": 1e9, "num_tokens": 1e9, "flops": 1, "loss": 1}).drop(
        columns="flops"
    ).to_csv(tmp_path / "a.csv", index=False)
    assert "millions or billions" in " ".join(read_table(tmp_path / "a.csv").attrs["notes"])
    one = GOOD.copy()
    one.loc[4, "flops"] *= 1e9
    one.to_csv(tmp_path / "b.csv", index=False)
    assert "in 1 of 9 rows, unlike the others (line 6)" in " ".join(
        read_table(tmp_path / "b.csv").attrs["notes"]
    )


def test_right_units_and_distinct_rows_raise_no_doubt(tmp_path):
    GOOD.to_csv(tmp_path / "a.csv", index=False)
    assert read_table(tmp_path / "a.csv").attrs["notes"] == []


def test_equal_rows_are_named_and_kept(tmp_path):
    pd.concat([GOOD, GOOD.iloc[[2]]]).to_csv(tmp_path / "a.csv", index=False)
    table = read_table(tmp_path / "a.csv")
    assert len(table) == 10
    assert "2 rows are equal in every column (lines 4, 11); all kept" in table.attrs["notes"]


@pytest.mark.parametrize(("column", "factor"), [("num_params", 1e-6), ("num_tokens", 1e-9)])
def test_one_row_in_another_unit_is_named_without_flops(tmp_path, column, factor):
    frame = pd.DataFrame({"num_params": np.geomspace(1e7, 1e9, 12), "num_tokens": 2e9, "loss": 3.0})
    frame.loc[4, column] *= factor
    table = read_table(write(tmp_path, frame.to_csv(index=False)))
    [note] = [n for n in table.attrs["notes"] if "in line 6" in n]
    assert note.startswith(f"{column} is ")
    assert "a unit may differ there" in note
    whole = frame.assign(**{column: np.geomspace(1e7, 1e9, 12)})
    again = read_table(write(tmp_path, whole.to_csv(index=False)))
    assert not [n for n in again.attrs["notes"] if "differ" in n]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "N,D,loss\n1e6,2e7,3\n\n \n1e6,3e7,abc\n", "line 5, column 'loss'"),
        ("a.csv", "\n# from a paper\n\nN;D;loss\n\n1e6;2e7;abc\n", "line 6, column 'loss'"),
        ("a.tsv", "N\tD\tloss\n\t\t3\n\n1e6\t3e7\tabc\n", "line 4, column 'loss'"),
        ("a.jsonl", '{"N": 1}\n\n{"N": "x"}\n', "line 3, column 'N'"),
        ("a.jsonl", '{"N": 1}\n{"N": 1' + 400 * "0" + "}\n", "line 2: the number 100000000... has"),
        ("a.jsonl", '{"N": 1' + 5000 * "0" + "}\n", "has 5001 digits"),
        ("a.jsonl", '{"N": 1}\n' + 100_000 * "[" + "\n", "line 2 is nested too deep"),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path, name, text, says):
    with pytest.raises(ValueError, match=says):
        read_table(write(tmp_path, text, name))


def test_lines_are_those_of_the_file_after_empty_ones(tmp_path):
    table = read_table(write(tmp_path, "N,D,loss\n1e6,2e7,3\n\n1e6,3e7,\n1e6,2e7,3\n"))
    assert table.attrs["notes"][-2:] == [
        "left out, loss missing: 1 row (line 4)",
        "2 rows are equal in every column (lines 2, 5); all kept",
    ]
    kept = table[table["loss"].isna()]
    assert place(kept, 0) == "line 4"
    kept.attrs = {}
    assert place(kept, 0) == "row 0"


def test_n_and_d_that_are_both_too_large_are_named(tmp_path):
    (GOOD * {"num_params": 1e9, "num_tokens": 1e9, "flops": 1e18, "loss": 1}).to_csv(
        tmp_path / "a.csv", index=False
    )
    [note] = read_table(tmp_path / "a.csv").attrs["notes"]
    assert note.startswith("num_params is 3.16e+16 in the median: it looks 1e6 or 1e9 times too")


def test_sizes_too_large_by_a_million_are_named(tmp_path):
    rows = "".join(f"{n:g},{20 * n / 1e6:g},3.0\n" for n in np.geomspace(1e13, 1e15, 6))
    table = read_table(write(tmp_path, "num_params,num_tokens,loss\n" + rows))
    [note] = [n for n in table.attrs["notes"] if "in the median" in n]
    assert note.startswith("num_params is 1.11e+14")
    assert "1e6 or 1e9 times too large" in note
