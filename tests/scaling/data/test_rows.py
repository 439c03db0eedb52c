"""One rule for rows that are no documents, whatever they come in; what is dropped is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import scaling.data.text.sources.json_lines as json_lines
from scaling.cli import main
from scaling.data import open_data

GOOD = [f"document {i}, naïve" for i in range(12)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def prepared(capsys, *arguments: str) -> dict:
    assert main(["data", "prepare", "own", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments: str) -> str:
    assert main(["data", "prepare", "own", *arguments]) == 2
    lines = [e for e in capsys.readouterr().err.splitlines() if e.startswith("scaling data:")]
    assert len(lines) == 1
    return lines[0]


def documents() -> list[bytes]:
    data = open_data("own")
    whole = np.concatenate([data.train, data.heldout]).astype(np.uint8).tobytes()
    return sorted(whole.split(b"\0")[:-1])


BAD_LINES = {
    "null": b'{"text": null}',
    "not text": b'{"text": ["a"]}',
    "no field 'text'": b'{"body": "a"}',
    "no JSON object": b'["text"]',
    "no valid JSON": b'{"text": "cut off',
    "not UTF-8": b'{"text": "caf\xe9"}',
    "half a surrogate pair": b'{"text": "\\ud83d"}',
    "longer than 0 MiB": b'{"text": "' + b"x" * 300 + b'"}',
}


@pytest.mark.parametrize(("reason", "line"), BAD_LINES.items(), ids=BAD_LINES)
def test_a_bad_line_is_refused_with_its_number_or_counted(capsys, monkeypatch, reason, line):
    monkeypatch.setattr(json_lines, "LONGEST", 200)
    rows = [json.dumps({"text": text}).encode() for text in GOOD]
    rows[5:5] = [line]
    Path("rows.jsonl").write_bytes(b"\n".join(rows))
    said = refused(capsys, "--jsonl", "rows.jsonl")
    assert "rows.jsonl, line 6: " in said
    assert said.endswith("or leave such rows out with --skip-bad")
    printed = prepared(capsys, "--jsonl", "rows.jsonl", "--skip-bad")
    assert (printed["skipped"], printed["skipped_by_reason"]) == (1, {reason: 1})
    assert documents() == sorted(text.encode() for text in GOOD)
    assert f"made without bad rows (1 {reason})" in refused(capsys, "--jsonl", "rows.jsonl")


@pytest.mark.parametrize(
    ("reason", "column"),
    [
        ("null", [*GOOD, None]),
        ("not UTF-8", [*(text.encode() for text in GOOD), b"caf\xe9"]),
        ("binary", [*(text.encode() for text in GOOD), "x".encode("utf-16-le")]),
        ("not UTF-8", "a string column with bytes that Arrow does not check"),
    ],
)
def test_a_bad_row_of_parquet_is_treated_as_a_bad_line(capsys, reason, column):
    if isinstance(column, str):
        raw = pa.array([*(text.encode() for text in GOOD), b"caf\xe9"])
        column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"text": column}), "rows.parquet", row_group_size=5)
    said = refused(capsys, "--parquet", "rows.parquet")
    assert "rows.parquet, row 12: column 'text'" in said
    printed = prepared(capsys, "--parquet", "rows.parquet", "--skip-bad")
    assert printed["skipped_by_reason"] == {reason: 1}
    assert documents() == sorted(text.encode() for text in GOOD)


def test_nothing_but_bad_rows_is_no_data_set(capsys):
    Path("rows.jsonl").write_text('{"body": 1}\n' * 5)
    said = refused(capsys, "--jsonl", "rows.jsonl", "--skip-bad")
    assert "0 documents" in said
    assert "5 no field 'text'" in said


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(capsys):
    rows = "\r\n".join(json.dumps({"text": text}) for text in GOOD)
    Path("rows.jsonl").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    prepared(capsys, "--jsonl", "rows.jsonl")
    assert documents() == sorted(text.encode() for text in GOOD)


def test_repeated_and_empty_documents_are_counted(capsys):
    rows = [{"text": text} for text in [*GOOD, *GOOD[:7], "", "", " "]]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = prepared(capsys, "--jsonl", "rows.jsonl")
    assert (printed["dropped_duplicates"], printed["dropped_empty"]) == (7, 2)
    assert documents() == sorted([b" ", *(text.encode() for text in GOOD)])
    again = prepared(capsys, "--jsonl", "rows.jsonl")
    assert again == printed


def test_repeated_and_empty_files_are_counted(capsys):
    for i, text in enumerate([*GOOD, *GOOD[:3], ""]):
        Path(f"{i:02d}.txt").write_text(text)
    printed = prepared(capsys, "--text", "*.txt", "--no-blocks")
    assert (printed["dropped_repeated_files"], printed["dropped_empty"]) == (3, 1)


@pytest.mark.parametrize("field", ["data.text", "a.b.c"])
def test_a_field_inside(capsys, field):
    def nested(text):
        for name in reversed(field.split(".")):
            text = {name: text}
        return text

    rows = [nested(text) for text in GOOD[:-1]] + [{field: GOOD[-1]}]  # or a name with dots
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared(capsys, "--jsonl", "rows.jsonl", "--field", field)
    assert documents() == sorted(text.encode() for text in GOOD)


TEXTS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary_view(),
    "dictionary": pa.dictionary(pa.int16(), pa.string()),
    "dictionary of binary": pa.dictionary(pa.int32(), pa.binary()),
    "dictionary of large strings": pa.dictionary(pa.int8(), pa.large_string()),
}


@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("inside", [False, True])
def test_every_type_of_text(capsys, kind, inside):
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    raw = any(is_raw(plain) for is_raw in (pa.types.is_binary, pa.types.is_large_binary))
    values = [text.encode() if raw or plain == pa.binary_view() else text for text in GOOD]
    column = pa.array(values, plain)
    if plain != kind:
        column = column.dictionary_encode().cast(kind)
    if inside:
        column = pa.StructArray.from_arrays([column, pa.array(range(len(GOOD)))], ["text", "n"])
    pq.write_table(pa.table({"data" if inside else "text": column}), "x.parquet")
    prepared(capsys, "--parquet", "x.parquet", *(["--column", "data.text"] if inside else []))
    assert documents() == sorted(text.encode() for text in GOOD)


LISTS = {
    "list<int32>": pa.list_(pa.int32()),
    "list<int64>": pa.list_(pa.int64()),
    "list<uint16>": pa.list_(pa.uint16()),
    "large_list": pa.large_list(pa.int32()),
    "fixed_size_list": pa.list_(pa.int32(), 6),
}


@pytest.mark.parametrize("kind", LISTS.values(), ids=LISTS)
def test_lists_of_tokens_are_documents(capsys, kind):
    rows = np.random.default_rng(0).integers(0, 300, (20, 6)).tolist()
    rows = (
        rows
        if pa.types.is_fixed_size_list(kind)
        else [row[: i % 6 + 1] for i, row in enumerate(rows)]
    )
    pq.write_table(pa.table({"ids": pa.array(rows, kind)}), "x.parquet", row_group_size=7)
    arguments = ["--parquet", "x.parquet", "--column", "ids"]
    assert "add --vocab-size" in refused(capsys, *arguments)
    printed = prepared(capsys, *arguments, "--vocab-size", "300")
    assert (printed["vocab_size"], printed["tokenizer"]) == (300, "shards")
    data = open_data("own")
    tokens = "," + ",".join(map(str, np.concatenate([data.train, data.heldout]))) + ","
    assert len(data.train) + len(data.heldout) == sum(len(row) for row in set(map(tuple, rows)))
    assert all("," + ",".join(map(str, row)) + "," in tokens for row in rows)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1, 300], "token out of range"),
        ([1, -1], "token out of range"),
        ([None, 2], "null"),
        (None, "null"),
    ],
)
def test_a_bad_list_of_tokens_is_a_bad_row(capsys, row, reason):
    rows = [[i, i + 1] for i in range(12)] + [row]
    pq.write_table(pa.table({"ids": pa.array(rows, pa.list_(pa.int64()))}), "x.parquet")
    arguments = ["--parquet", "x.parquet", "--column", "ids", "--vocab-size", "300"]
    assert "x.parquet, row 12: column 'ids'" in refused(capsys, *arguments)
    printed = prepared(capsys, *arguments, "--skip-bad")
    assert printed["skipped_by_reason"] == {reason: 1}


def test_options_for_text_are_refused_with_tokens(capsys):
    pq.write_table(pa.table({"ids": [[1, 2], [3, 4]]}), "x.parquet")
    arguments = ["--parquet", "x.parquet", "--column", "ids", "--vocab-size", "9"]
    assert "these files hold tokens" in refused(capsys, *arguments, "--tokenizer", "bpe")
