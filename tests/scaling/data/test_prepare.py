"""Preparation is streamed, restartable and a function of content alone."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaling.data.text.prepare as prepare
from scaling.cli import main
from scaling.data import describe_data, open_data
from scaling.data.batches.tokens import TokenData
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import BLOCK, JsonLines, TextFiles
from scaling.data.text.sources.parquet import ParquetColumn
from scaling.data.text.sources.shards import TokenShards
from scaling.data.text.tokenizer import WORDS, BPETokenizer, pieces, train_bpe

WORDLIST = [
    "scale",
    "law",
    "loss",
    "naïve",
    "η",
    "=",
    "0.1",
    "\n    return",
    "don't",
    "“curly”",
    "  ",
]


def texts(number: int = 60, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDLIST, k=rng.randint(20, 80))) for _ in range(number)]


def write(folder: Path, documents: list[str] | list[bytes]) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, document in enumerate(documents):
        path = folder / f"{i:03d}.txt"
        path.write_bytes(document if isinstance(document, bytes) else document.encode())
        paths.append(path)
    return tuple(paths)


def opened(name: str, home: Path) -> TokenData:
    data = open_data(name, home)
    assert isinstance(data, TokenData)
    return data


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def documents_of(tokens: np.ndarray) -> list[bytes]:
    return tokens.astype(np.uint8).tobytes().split(b"\0")[:-1]


@settings(deadline=None, max_examples=15)
@given(
    # Any bytes but NUL, and a dot first, so that no document begins as some binary file does.
    st.lists(st.binary(max_size=50).map(lambda b: b"." + b.replace(b"\0", b"x")), min_size=2)
)
def test_bytes_come_back_and_the_split_is_disjoint(tmp_path_factory, documents):
    if len(set(documents)) < 2:
        documents = [*documents, b"one", b"two"]
    folder = tmp_path_factory.mktemp("bytes")
    prepare_tokens("own", TextFiles(write(folder / "in", documents)), folder, heldout=0.3)
    data = opened("own", folder)
    train, heldout = documents_of(data.train), documents_of(data.heldout)
    assert sorted(train + heldout) == sorted(set(documents))
    assert train
    assert heldout
    assert data.info.train_documents == len(train)
    assert data.info.heldout_documents == len(heldout)
    assert data.info.bytes_per_token == 1


def test_fingerprint_is_pinned_and_knows_no_paths(tmp_path):
    documents = ["one", "two", "three", "four"]
    info = prepare_tokens("a", TextFiles(write(tmp_path / "in", documents)), tmp_path, heldout=0.3)
    assert info.fingerprint == "538cbac148033a66"
    moved = write(tmp_path / "else" / "where", documents[::-1])
    again = prepare_tokens("b", TextFiles(moved), tmp_path, heldout=0.3)
    assert again.fingerprint == info.fingerprint
    for name in ("train.bin", "heldout.bin"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("documents", "heldout"),
    [(["one", "two", "three", "Four"], 0.3), (["one", "two", "three"], 0.3)],
)
def test_fingerprint_follows_content(tmp_path, documents, heldout):
    first = write(tmp_path / "in", ["one", "two", "three", "four"])
    info = prepare_tokens("a", TextFiles(first), tmp_path, heldout=0.3)
    other = prepare_tokens(
        "b", TextFiles(write(tmp_path / "other", documents)), tmp_path, heldout=heldout
    )
    assert other.fingerprint != info.fingerprint


def test_fingerprint_follows_split(tmp_path):
    paths = write(tmp_path / "in", texts())
    infos = [
        prepare_tokens(f"h{share}", TextFiles(paths), tmp_path, heldout=share / 100)
        for share in (5, 30)
    ]
    assert infos[0].fingerprint != infos[1].fingerprint
    for info, share in zip(infos, (0.05, 0.3), strict=True):
        whole = info.heldout_size + info.train_size
        assert share <= info.heldout_size / whole < share + 0.03


def test_text_jsonl_and_parquet_of_the_same_documents_are_the_same_data(tmp_path):
    documents = texts()
    paths = write(tmp_path / "in", documents)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps({"body": d, "n": 1}) + "\n\n" for d in documents))
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"body": [*documents, None]}), table, row_group_size=7)
    sources = {
        "text": TextFiles(paths),
        "jsonl": JsonLines((lines,), "body"),
        "parquet": ParquetColumn((table,), "body"),
    }
    for name, source in sources.items():
        prepare_tokens(name, source, tmp_path, heldout=0.2, skip_bad=name == "parquet")
    found = {n: sorted(documents_of(opened(n, tmp_path).heldout)) for n in sources}
    assert found["text"] == found["jsonl"] == found["parquet"]
    one, other = describe_data("jsonl", tmp_path), describe_data("parquet", tmp_path)
    assert one.fingerprint == other.fingerprint


def test_shards_keep_their_tokens(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 100_000, 5 * BLOCK).astype("<u4")
    (tmp_path / "a.bin").write_bytes(tokens.tobytes())
    source = TokenShards((tmp_path / "a.bin",), "uint32", 100_000)
    info = prepare_tokens("own", source, tmp_path)
    data = opened("own", tmp_path)
    assert (info.vocab_size, info.dtype, info.bytes_per_token) == (100_000, "uint32", None)
    whole = np.concatenate([data.train, data.heldout])
    np.testing.assert_array_equal(np.sort(whole), np.sort(tokens))
    assert len(data.heldout) == BLOCK
    assert data.heldout.tobytes() in tokens.tobytes()


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet=st.sampled_from("aé漢 \n\t'sd0_。"), max_size=300), st.integers(0, 300))
def test_text_is_cut_into_blocks_that_can_be_read_from_anywhere(tmp_path_factory, text, start):
    path = tmp_path_factory.mktemp("blocks") / "long.txt"
    path.write_bytes((text * 200).encode())
    source = TextFiles((path,), blocks=True)
    blocks = list(source.read(path, 0))
    assert b"".join(bytes(b) for b, _ in blocks) == path.read_bytes()
    assert all(len(bytes(b).decode()) > 0 and len(b) <= BLOCK for b, _ in blocks)
    at = start % (len(blocks) + 1)
    position = blocks[at - 1][1] if at else 0
    assert list(source.read(path, position)) == blocks[at:]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_bpe((t.encode() for t in texts(300)), 400, path)
    return path


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.text(), st.text(alphabet="a é漢\n\t'sd0_。\u00a0\u2028", max_size=60)))
def test_words_give_the_library_s_own_tokens_and_the_text_comes_back(bpe, text):
    from tokenizers import Tokenizer

    library = Tokenizer.from_file(str(bpe))
    document = text.encode("utf-8", "replace")
    tokens = BPETokenizer(bpe).encode([document])[0].tolist()
    assert tokens == [*library.encode(document.decode()).ids, 0]
    assert library.decode(tokens[:-1]).encode() == document


def test_long_text_is_cut_where_words_end(monkeypatch):
    monkeypatch.setattr("scaling.data.text.tokenizer.PIECE", 50)
    text = "".join(t + "\n\n  " for t in texts())
    parts = list(pieces(text))
    assert len(parts) > 20
    assert [w for part in parts for w in WORDS.findall(part)] == WORDS.findall(text)


def test_bpe_data_say_bytes_per_token_and_what_is_not_utf8(tmp_path, capsys):
    documents = [t.encode() for t in texts(200)]
    documents[3] += b"\xff\xfe"
    source = TextFiles(write(tmp_path / "in", documents))
    info = prepare_tokens("own", source, tmp_path, tokenizer="bpe", vocab_size=300, heldout=0.2)
    data = opened("own", tmp_path)
    from tokenizers import Tokenizer

    library = Tokenizer.from_file(str(tmp_path / "own" / "tokenizer.json"))
    assert info.vocab_size == library.get_vocab_size() == 300
    back = library.decode(data.heldout.tolist(), skip_special_tokens=False)
    held = back.replace("<|endoftext|>", "\0").encode()
    assert info.bytes_per_token == pytest.approx(len(held) / len(data.heldout))
    assert held.count(b"\0") == info.heldout_documents
    whole = library.decode(data.train.tolist()) + library.decode(data.heldout.tolist())
    assert "\ufffd" in whole
    assert capsys.readouterr().err.count("a document is not UTF-8") == 1


KILLED = """
import os, signal, sys
from pathlib import Path
import scaling.data.text.prepare as prepare
from scaling.data.text.sources import JsonLines
folder, after, tokenizer = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
prepare.PART = prepare.BATCH = 4096
real, calls = os.fsync, 0
def fsync(fd):
    global calls
    calls += 1
    if calls == after:
        os.kill(os.getpid(), signal.SIGKILL)
    real(fd)
prepare.os.fsync = fsync
prepare.prepare_tokens("own", JsonLines((folder / "rows.jsonl",), "text"), folder / "data",
                       tokenizer=tokenizer, vocab_size=300, heldout=0.2)
"""


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_killed_and_run_again_gives_the_same_bits(tmp_path, tokenizer):
    rows = "".join(json.dumps({"text": t}) + "\n" for t in texts(400) + texts(50))
    (tmp_path / "rows.jsonl").write_text(rows)
    source = JsonLines((tmp_path / "rows.jsonl",), "text")
    prepare_tokens(
        "own", source, tmp_path / "whole", tokenizer=tokenizer, vocab_size=300, heldout=0.2
    )
    kills, states = 0, []
    for after in (1, 5, 8, 14, 25, 10**9):  # counted in fsyncs since the start of each attempt
        arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(after), tokenizer]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        kills += done.returncode != 0
        state = tmp_path / "data" / ".own.partial" / "state.json"
        if state.exists():
            states.append(json.loads(state.read_text())["position"])
    assert kills == 5
    assert len(set(states)) > 1  # attempts went on from one another
    assert states == sorted(states)
    assert content(tmp_path / "data" / "own") == content(tmp_path / "whole" / "own")


def test_processes_that_prepare_the_same_wait_for_each_other(tmp_path):
    rows = "".join(json.dumps({"text": t}) + "\n" for t in texts(2000))
    (tmp_path / "rows.jsonl").write_text(rows)
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), "0", "bytes"]
    running = [subprocess.Popen(arguments, stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    source = JsonLines((tmp_path / "rows.jsonl",), "text")
    prepare_tokens("own", source, tmp_path / "whole", heldout=0.2)
    assert content(tmp_path / "data" / "own") == content(tmp_path / "whole" / "own")


def test_full_disk_keeps_what_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    paths = write(tmp_path / "in", texts(200))
    prepare_tokens("own", TextFiles(paths), tmp_path / "whole")
    monkeypatch.setattr(prepare, "PART", 4096)
    monkeypatch.setattr(prepare, "BATCH", 1024)
    real, calls = os.fsync, []

    def fsync(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    monkeypatch.setattr(prepare.os, "fsync", fsync)
    command = ["data", "prepare", "own", "--no-blocks", "--text", str(tmp_path / "in" / "*.txt")]
    assert main(command) == 1
    assert "No space left on device; free some space" in capsys.readouterr().err
    assert json.loads((tmp_path / "data/.own.partial/state.json").read_text())["document"] > 0
    assert main(command) == 0
    assert content(tmp_path / "data" / "own") == content(tmp_path / "whole" / "own")


def test_the_same_again_is_done_and_another_is_refused(tmp_path):
    one = write(tmp_path / "one", texts(30))
    other = write(tmp_path / "other", texts(30, seed=1))
    info = prepare_tokens("own", TextFiles(one), tmp_path)
    before = (tmp_path / "own" / "train.bin").stat().st_mtime_ns
    assert prepare_tokens("own", TextFiles(one[::-1]), tmp_path) == info
    with pytest.raises(ValueError, match=f"another data set already.*{info.fingerprint}"):
        prepare_tokens("own", TextFiles(other), tmp_path)
    assert (tmp_path / "own" / "train.bin").stat().st_mtime_ns == before


def test_truncated_shards_are_noticed(tmp_path):
    prepare_tokens("own", TextFiles(write(tmp_path / "in", texts())), tmp_path)
    with (tmp_path / "own" / "train.bin").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match=r"train.bin has 100 bytes, its meta.json says \d+"):
        open_data("own", tmp_path)
