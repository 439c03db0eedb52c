"""Files that are not what they say, and libraries that are not there: one line with the remedy."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from scaling import bare_name, is_table, read_frame
from scaling.table_file import kind_of

CSV = b"N,D,loss\n1e6,2e7,3\n"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv.gz", CSV, "is not a whole .gz file; copy it again, or unpack it first"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-4], "is not a whole .gz file"),
        ("a.csv.bz2", CSV, "is not a whole .bz2 file"),
        ("a.csv.xz", CSV, "is not a whole .xz file"),
        ("a.csv.zst", CSV, "is not a whole .zst file"),
        ("a.csv", b"1e6,2e7,3\n2e6,2e7,2\n", "line 1 has numbers where names are wanted"),
        ("a.csv", b"N,D\n1,2,3\n", "line 2 has 3 fields, the line of names 2"),
        ("a.txt", b"", "the file is empty"),
        ("a.csv", b"N," + 200_000 * b"x" + b"\n1,2\n", "line 1 cannot be read (field larger"),
        ("a.csv", b"# nothing\n\n", "the file has no rows"),
        ("a.json", b"{", "line 1 is not JSON"),
        ("a.json", b"3", "there is no list of objects in it"),
        ("a.json", b'{"N": [1, 2], "D": [1]}', "there is no list of objects in it"),
        ("a.json", b"[1, 2]", "there is no list of objects in it"),
        ("a.json", 100_000 * b"[", "it is nested too deep"),
        ("a.doc", CSV, "not '.doc'"),
        ("a", b"\x00\x81", "byte 1 is not UTF-8 text"),
        ("a.xls", CSV, ".xls is not read; save it as .xlsx or .csv"),
        ("a.db", CSV, "it is no SQLite database"),
        ("a.dta", CSV, "it is no .dta file"),
        ("a.feather", CSV, "it is no .feather file"),
        ("a.md", CSV, "there is no table with bars"),
        ("a.tex", CSV, "there is no tabular"),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=name) as caught:
        read_frame(tmp_path / name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_workbook_that_is_none(tmp_path):
    pytest.importorskip("openpyxl")
    (tmp_path / "a.xlsx").write_bytes(CSV)
    with pytest.raises(ValueError, match="it is no"):
        read_frame(tmp_path / "a.xlsx")


@pytest.mark.parametrize(("name", "library"), [("a.xlsx", "openpyxl"), ("a.csv.zst", "zstandard")])
def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_bytes(CSV)
    with pytest.raises(ValueError, match=f"pip install {library} to have it read"):
        read_frame(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "kind", "bare", "table"),
    [
        ("UP.CSV", ".csv", "UP", True),
        ("run-1.4B.csv.gz", ".csv", "run-1.4B", True),
        ("a.JSONL.ZST", ".jsonl", "a", True),
        ("weights.tar.gz", ".tar", "weights", False),
        ("notes", "", "notes", False),
    ],
)
def test_suffixes_in_any_case_and_packing(name, kind, bare, table):
    path = Path(name)
    assert (kind_of(path), bare_name(path), is_table(path)) == (kind, bare, table)
