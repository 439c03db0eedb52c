"""What a file is is told by its content: packed text is unpacked, what is no text is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from PIL import Image

from scaling.cli import main
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import JsonLines, TextFiles
from scaling.data.text.sources.content import UnusableFile, identify, is_longer, opened


def in_frames(text: bytes) -> bytes:
    """Two zstd frames, a skippable one first, as pzstd writes them."""
    half = len(text) // 2
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    return skippable + b"".join(
        zstandard.compress(part) for part in (text[:half], b"", text[half:])
    )


def checked(text: bytes) -> bytes:
    """As the command zstd writes: with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(text)


PACKERS = {
    "gzip": gzip.compress,
    "gzip members": lambda text: gzip.compress(text[:999]) + gzip.compress(text[999:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": checked,
    "zstd frames": in_frames,
}
PACKED = pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)


def lines(number: int = 3000) -> bytes:
    rng = random.Random(0)
    return "".join(f"{i} {rng.random()} naïve\n" for i in range(number)).encode()


@PACKED
def test_packed_text_is_the_text(tmp_path, packer):
    text = lines()
    (plain := tmp_path / "plain.txt").write_bytes(text)
    (packed := tmp_path / "packed.txt").write_bytes(packer(text))  # its name says nothing
    assert identify(packed, plain=True) == identify(plain, plain=True)
    for start in (0, 1, 70_000, len(text), len(text) + 5):
        with opened(packed, start) as file:
            assert file.read() == text[start:]
    assert is_longer(packed, len(text) - 1)
    assert not is_longer(packed, len(text))
    infos = [
        prepare_tokens(path.stem, TextFiles((path,), blocks=True), tmp_path / "data")
        for path in (plain, packed)
    ]
    assert infos[0].fingerprint == infos[1].fingerprint


@PACKED
def test_packed_json_lines_are_the_lines(tmp_path, packer):
    rows = "".join(json.dumps({"text": f"{i} " * 9}) + "\n" for i in range(100)).encode()
    (plain := tmp_path / "a").write_bytes(rows)
    (packed := tmp_path / "b").write_bytes(packer(rows))
    source = JsonLines((plain, packed), "text")
    documents = list(source.read(plain, 0))
    assert list(source.read(packed, 0)) == documents
    assert list(source.read(packed, documents[41][1])) == documents[42:]


@pytest.mark.parametrize("packer", [gzip.compress, lzma.compress, bz2.compress, checked])
@pytest.mark.parametrize("harm", [lambda b: b[:-20], lambda b: b[:500] + b"\x55" * 99 + b[599:]])
def test_what_is_damaged_is_said_so(tmp_path, packer, harm):
    (path := tmp_path / "x").write_bytes(harm(packer(lines())))
    with pytest.raises(UnusableFile, match=r"x is damaged .*: get it again"):
        identify(path, plain=True)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as found:
        found.writestr("a.txt", "text")
    return buffer.getvalue()


def saved(save) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


IMAGE = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
BINARY = {
    "parquet": (saved(lambda b: pq.write_table(pa.table({"a": [1]}), b)), "give it with --parquet"),
    "numpy": (saved(lambda b: np.save(b, np.arange(9))), "are given with --shards"),
    "zip": (archive(), "a ZIP archive"),
    "png": (saved(lambda b: IMAGE.save(b, "png")), "an image"),
    "jpeg": (saved(lambda b: IMAGE.save(b, "jpeg")), "an image"),
    "utf-16": ("text".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
    "tokens": (np.arange(500, dtype="<u2").tobytes(), "byte 0 is NUL"),
    "late NUL": (b"text\n" * 500_000 + b"\0", "byte 2500000 is NUL"),
    "noise": (random.Random(1).randbytes(2000).replace(b"\0", b"\1"), "control characters"),
    "packed noise": (gzip.compress(bytes(99)), "byte 0 is NUL"),
}


@pytest.mark.parametrize(("content", "says"), BINARY.values(), ids=BINARY)
def test_what_is_no_text_is_refused_or_left_out(tmp_path, monkeypatch, capsys, content, says):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        Path(f"{i}.txt").write_text(f"document {i}, with é")
    Path("odd.txt").write_bytes(content)
    command = ["data", "prepare", "own", "--no-blocks", "--json", "--text", *"012", "odd.txt"]
    command[-4:-1] = [f"{i}.txt" for i in range(3)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "odd.txt is " in said
    assert says in said
    assert "leave such files out with --skip-bad" in said
    assert main([*command, "--skip-bad"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["train_documents"] + printed["heldout_documents"] == 3
    assert printed["skipped_by_reason"] == {"binary file": 1}


@pytest.mark.parametrize("encoding", ["latin-1", "shift-jis", "gb18030", "koi8-r", "utf-8"])
def test_text_of_any_encoding_is_text_to_bytes(tmp_path, encoding):
    text = {"latin-1": "déjà vu ", "koi8-r": "где это "}.get(encoding, "漢字かな ")
    (path := tmp_path / "x").write_bytes((text * 500).encode(encoding))
    assert identify(path, plain=True)[1] == len((text * 500).encode(encoding))


def test_zstd_without_its_library_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    (path := tmp_path / "x.txt").write_bytes(zstandard.compress(lines()))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert main(["data", "prepare", "own", "--text", str(path)]) == 2
    said = capsys.readouterr().err
    assert "x.txt is compressed by zstd: pip install zstandard" in said
