"""A file's content as told by its first bytes: unpacked where it is compressed, refused if no text.

Whatever a file is called: gzip, zstd, xz and bzip2 are unpacked as they are read, never whole.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20
HEAD = 1024  # bytes that tell what a file is
_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # after BZh and a digit
_SKIPPED_FRAME = b"\x2a\x4d\x18"  # after 0x50 to 0x5f: pzstd begins with such a frame
_UTF16 = "UTF-16 text: save it as UTF-8, say by iconv -f UTF-16 -t UTF-8"
_KINDS = {
    b"PAR1": "a Parquet file: give it with --parquet",
    b"\x93NUMPY": "a NumPy file: tokens are given with --shards, examples with --from",
    b"MMIDIDX": "the index of Megatron shards: give the .bin beside it with --shards",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"PK\x03\x04": "a ZIP archive (.zip, .npz, .pt, .docx): unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a RAR archive: unpack it",
    b"\x04\x22\x4d\x18": "an LZ4 file: unpack it",
    b"%PDF-": "a PDF: extract its text first",
    b"{\\rtf": "a document in Rich Text Format: extract its text first",
    b"\x89PNG": "an image: labelled images are given with --from",
    b"\xff\xd8\xff": "an image: labelled images are given with --from",
    b"GIF8": "an image: labelled images are given with --from",
    b"\x7fELF": "a program",
    b"SQLite format 3\0": "a SQLite database: export its text first",
    b"\x89HDF": "an HDF5 file: export its text first",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
}


class UnusableFile(ValueError):
    """A file that holds no text; ``reason`` is short, for counting."""

    def __init__(self, path: Path, says: str, reason: str = "binary file") -> None:
        super().__init__(f"{path} {says}")
        self.reason = reason


def packing(head: bytes) -> str:
    """How a file that begins with ``head`` is compressed; empty if it is not."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_XZ):
        return "xz"
    if head.startswith(_BZIP2) and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    skipped = head[1:4] == _SKIPPED_FRAME and 0x50 <= head[0] <= 0x5F
    return "zstd" if skipped or head.startswith(_ZSTD) else ""


def known_kind(head: bytes) -> str:
    """What a file that begins with ``head`` is, if it is known and no text; empty otherwise."""
    return next((said for magic, said in _KINDS.items() if head.startswith(magic)), "")


def head_of(path: Path) -> bytes:
    """The first bytes of a file as it lies there."""
    with path.open("rb") as file:
        return file.read(HEAD)


@contextmanager
def opened(path: Path, position: int = 0) -> Iterator[BinaryIO]:
    """The unpacked content of a file, from byte ``position`` of it on.

    Raises
    ------
    UnusableFile
        If the file is damaged, or the library that unpacks it is missing; within the block too.
    """
    kind = packing(head_of(path))
    try:
        with _open(path, kind) as file:
            if not kind:
                file.seek(position)
            while kind and position and (passed := file.read(min(position, CHUNK))):
                position -= len(passed)
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise UnusableFile(path, f"is damaged ({error}): get it again", "damaged file") from None


def _open(path: Path, kind: str) -> Any:
    match kind:
        case "gzip":
            return gzip.open(path)
        case "xz":
            return lzma.open(path)
        case "bzip2":
            return bz2.open(path)
        case "zstd":
            return io.BufferedReader(_Zstd(path), CHUNK)
        case _:
            return path.open("rb")


class _Zstd(io.RawIOBase):
    """The frames of a zstd file, one after the other; an error where the last is not whole."""

    def __init__(self, path: Path) -> None:
        try:
            import zstandard
        except ModuleNotFoundError:
            raise ValueError(
                f"{path} is compressed by zstd: pip install zstandard to have it read, or unpack it"
            ) from None
        self._library: Any = zstandard
        self._file = path.open("rb")
        self._frame: Any = None
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._packed = self._packed or self._file.read(CHUNK >> 6)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                return 0
            self._unpack()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _unpack(self) -> None:
        if self._frame is None:
            unpacker = self._library.ZstdDecompressor(max_window_size=2**31)
            self._frame = unpacker.decompressobj()
        try:
            self._ready = self._frame.decompress(self._packed)
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from None
        self._packed = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def identify(path: Path, *, plain: bool) -> tuple[str, int]:
    """The sha256 (hex) and the length of a file's unpacked content, read once.

    Parameters
    ----------
    plain : bool
        Whether it must be text throughout; otherwise only its beginning is judged.

    Raises
    ------
    UnusableFile
        If it is a known kind of binary file, or, for ``plain``, holds a NUL byte or looks like
        noise; if it is damaged.
    """
    whole, size = hashlib.sha256(), 0
    with opened(path) as file:
        while chunk := file.read(CHUNK):
            if size == 0 and (kind := known_kind(chunk)):
                raise UnusableFile(path, f"is {kind}")
            if plain and (at := chunk.find(b"\0")) >= 0:
                raise UnusableFile(path, f"is no text: byte {size + at} is NUL")
            if plain and size == 0 and _is_noise(chunk[:HEAD]):
                raise UnusableFile(
                    path, "is no text: it begins with control characters and is not UTF-8"
                )
            whole.update(chunk)
            size += len(chunk)
    return whole.hexdigest(), size


def _is_noise(head: bytes) -> bool:
    """Whether bytes are as of a compressed or encrypted file: not UTF-8, one in 20 a control."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # its end may be half a character
    except UnicodeDecodeError:
        controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\b\x1b" for byte in head)
        return len(head) >= 64 and 20 * controls > len(head)
    return False


def is_json_lines(path: Path) -> bool:
    """Whether a file's first line is a JSON object."""
    with opened(path) as file:
        line = file.readline(CHUNK)
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def is_longer(path: Path, size: int) -> bool:
    """Whether a file's unpacked content is longer than ``size`` bytes."""
    if not packing(head_of(path)):
        return path.stat().st_size > size
    with opened(path) as file:
        while size >= 0 and (chunk := file.read(min(CHUNK, size + 1))):
            size -= len(chunk)
    return size < 0
