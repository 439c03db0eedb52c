"""Tokens out of the files of others, each written here by the layout that its makers document."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from scaling.cli import main
from scaling.data import open_data
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import BLOCK
from scaling.data.text.sources.shards import TokenShards, shard_files

VOCAB = 50257
TOKENS = np.random.default_rng(0).integers(0, VOCAB, 3 * BLOCK + 501)
LENGTHS = [5, 1000, 1, 7000, 0, 300]


def numpy_file(path: Path, dtype: str) -> Path:
    with path.open("wb") as file:
        np.save(file, TOKENS.astype(dtype))
    return path


def llm_c(path: Path, dtype: str, magic: int, version: int) -> Path:
    """Head of 256 int32, then the tokens (llm.c, dev/data/data_common.py, write_datafile)."""
    head = np.zeros(256, np.int32)
    head[:3] = magic, version, len(TOKENS)
    path.write_bytes(head.tobytes() + TOKENS.astype(dtype).tobytes())
    return path


def megatron(path: Path, documents: list[np.ndarray], code: int, dtype: str) -> Path:
    """``.bin`` and ``.idx`` as megatron/core/datasets/indexed_dataset.py has them.

    A document is two sequences here, as with --split-sentences.
    """
    sequences = [part for d in documents for part in np.split(d, [len(d) // 2])]
    path.write_bytes(b"".join(s.astype(dtype).tobytes() for s in sequences))
    lengths = np.array([len(s) for s in sequences], np.int32)
    pointers = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])
    with path.with_suffix(".idx").open("wb") as index:
        index.write(b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code))
        index.write(struct.pack("<Q", len(sequences)) + struct.pack("<Q", len(documents) + 1))
        index.write(lengths.tobytes())
        index.write((pointers * np.dtype(dtype).itemsize).astype(np.int64).tobytes())
        index.write(np.arange(0, len(sequences) + 1, 2, dtype=np.int64).tobytes())
    return path


def pieces() -> list[np.ndarray]:
    return np.split(TOKENS[: sum(LENGTHS)], np.cumsum(LENGTHS)[:-1])


WRITERS = {
    "raw uint16": (lambda p: p.write_bytes(TOKENS.astype("<u2").tobytes()), "uint16"),
    "raw uint32": (lambda p: p.write_bytes(TOKENS.astype("<u4").tobytes()), "uint32"),
    "raw int32": (lambda p: p.write_bytes(TOKENS.astype("<i4").tobytes()), "int32"),
    "raw int64": (lambda p: p.write_bytes(TOKENS.astype("<i8").tobytes()), "int64"),
    "raw uint64": (lambda p: p.write_bytes(TOKENS.astype("<u8").tobytes()), "uint64"),
    "numpy uint16": (lambda p: numpy_file(p, "<u2"), None),
    "numpy int64": (lambda p: numpy_file(p, "<i8"), None),
    "numpy big end first": (lambda p: numpy_file(p, ">i4"), None),
    "numpy, its type said": (lambda p: numpy_file(p, "<u2"), "uint16"),
    "llm.c, nanoGPT": (lambda p: llm_c(p, "<u2", 20240520, 1), None),
    "llm.c, Llama 3": (lambda p: llm_c(p, "<u4", 20240801, 7), None),
}


@pytest.mark.parametrize(("write", "dtype"), WRITERS.values(), ids=WRITERS)
def test_each_kind_of_file_gives_its_tokens(tmp_path, write, dtype):
    write(path := tmp_path / "tokens.bin")
    source = TokenShards((path,), dtype, VOCAB)
    blocks = list(source.read(path, 0))
    np.testing.assert_array_equal(np.concatenate([b for b, _ in blocks]), TOKENS)
    assert [len(b) for b, _ in blocks] == [BLOCK, BLOCK, BLOCK, 501]
    assert blocks[-1][1] == source.identify(path)[1]
    rest = list(source.read(path, blocks[1][1]))
    np.testing.assert_array_equal(np.concatenate([b for b, _ in rest]), TOKENS[2 * BLOCK :])
    info = prepare_tokens("own", source, tmp_path / "data")
    assert info.train_size + info.heldout_size == len(TOKENS)
    assert info.dtype == "uint16"


@pytest.mark.parametrize(("code", "dtype"), [(8, "<u2"), (4, "<i4"), (5, "<i8")])
def test_documents_of_a_megatron_index_stay_whole(tmp_path, monkeypatch, code, dtype):
    path = megatron(tmp_path / "own.bin", pieces(), code, dtype)
    source = TokenShards(shard_files([path, path.with_suffix(".idx")]), None, VOCAB)
    assert source.paths == (path,)
    read = list(source.read(path, 0))
    assert [position for _, position in read] == [1, 2, 3, 4, 5, 6]
    for (found, _), piece in zip(read, pieces(), strict=True):
        np.testing.assert_array_equal(found, piece)
    for (found, at), (same, there) in zip(source.read(path, 2), read[2:], strict=True):
        np.testing.assert_array_equal(found, same)
        assert at == there
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    assert main(["data", "prepare", "own", "--shards", str(path), "--vocab-size", str(VOCAB)]) == 0
    data = open_data("own")
    assert data.info.train_documents + data.info.heldout_documents == 5
    whole = [",".join(map(str, rows)) for rows in (data.train, data.heldout)]
    assert all(",".join(map(str, piece)) in whole[0] + ";" + whole[1] for piece in pieces())


RIGHT = ("uint16", "uint32", "int64")


@pytest.mark.parametrize("vocab_size", [97, VOCAB, 128_256])
@pytest.mark.parametrize("written", RIGHT)
@pytest.mark.parametrize("declared", ["uint8", "uint16", "uint32", "int32", "int64", "uint64"])
def test_a_type_that_the_content_denies_is_refused(tmp_path, vocab_size, written, declared):
    if written == "uint16" and vocab_size > 2**16:
        return
    tokens = np.random.default_rng(1).integers(0, vocab_size, 4 * BLOCK)
    (path := tmp_path / "x.bin").write_bytes(tokens.astype(written).tobytes())
    source = TokenShards((path,), declared, vocab_size)
    if declared.removeprefix("u") == written.removeprefix("u"):
        source.identify(path)
        np.testing.assert_array_equal(np.concatenate([b for b, _ in source.read(path, 0)]), tokens)
        return
    with pytest.raises(ValueError, match=rf"x.bin: .*--dtype {declared}"):
        source.identify(path)


def test_the_refusal_says_what_the_content_looks_like(tmp_path):
    for written in RIGHT:
        (path := tmp_path / "x.bin").write_bytes(TOKENS[:BLOCK].astype(written).tobytes())
        for declared in set(RIGHT) - {written}:
            with pytest.raises(ValueError, match=f"they look like {written}$"):
                TokenShards((path,), declared, VOCAB).identify(path)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-10])
    return path


FAULTS = {
    "numpy cut": (lambda p: cut(numpy_file(p, "<u2")), r"its head says \(25077,\) of uint16"),
    "numpy floats": (lambda p: numpy_file(p, "<f4"), "holds float32 of shape"),
    "numpy head cut": (lambda p: p.write_bytes(b"\x93NUMPY\1"), "cannot be read"),
    "llm.c cut": (lambda p: cut(llm_c(p, "<u2", 20240520, 1)), "begins as llm.c's tokens"),
    "llm.c version": (lambda p: llm_c(p, "<u2", 20240520, 7), "in version 1"),
    "llm.c wide": (lambda p: llm_c(p, "<u4", 20240520, 1), "begins as llm.c's tokens"),
    "megatron cut": (lambda p: cut(megatron(p, pieces(), 8, "<u2")), "do not belong together"),
    "megatron type": (lambda p: megatron(p, pieces(), 4, "<u2"), "do not belong together"),
    "megatron floats": (lambda p: megatron(p, pieces(), 6, "<f8"), "tokens are integers"),
    "megatron index cut": (
        lambda p: cut(megatron(p, pieces(), 8, "<u2").with_suffix(".idx")),
        "no whole index",
    ),
    "packed": (lambda p: p.write_bytes(b"\x1f\x8b\x08\0"), r"is compressed \(gzip\)"),
    "text": (lambda p: p.write_bytes(b'{"text": "no tokens"}\n' * 200), "holds text, not tokens"),
    "archive": (lambda p: p.write_bytes(b"PK\x03\x04"), "is a ZIP archive"),
    "other type": (lambda p: numpy_file(p, "<u4"), "holds uint32 .*leave --dtype out"),
}


@pytest.mark.parametrize(("write", "says"), FAULTS.values(), ids=FAULTS)
def test_files_that_are_not_whole_or_of_another_kind_are_refused(tmp_path, write, says):
    write(path := tmp_path / "x.bin")
    raw = any(word in says for word in ("leave", "compressed", "ZIP", "text"))
    declared = "uint16" if raw else None
    with pytest.raises(ValueError, match=says):
        TokenShards((path,), declared, VOCAB).identify(path)


def test_a_token_beyond_the_vocabulary_is_found_wherever_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    tokens = np.tile(np.arange(100), 4000)
    tokens[123_457] = 100
    np.save(tmp_path / "x.npy", tokens.astype(np.uint16))
    command = ["data", "prepare", "own", "--shards", str(tmp_path / "x.npy"), "--vocab-size", "100"]
    assert main(command) == 2
    assert "token 100 at 123457 is not below --vocab-size 100" in capsys.readouterr().err
