"""Where documents come from: text files, JSON Lines, Parquet columns, token shards.

A source reads one file at a time from a position on and yields, for each document, its content
and the position after it, so that work can go on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192  # bytes (tokens, for shards) of one document cut out of a long text

Document = bytes | NDArray[np.unsignedinteger]


class Source(Protocol):
    """Files and how documents are read from them."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""

    def size(self, path: Path) -> int:
        """The position after the last document of one file."""

    def read(self, path: Path, position: int) -> Iterator[tuple[Document, int]]:
        """The documents of one file from ``position`` on, each with the position after it."""


@dataclass(frozen=True)
class TextFiles:
    """Each file is one document or, with ``blocks``, is cut into blocks of about 8 KiB.

    A block ends at a line end where the 8 KiB hold one, else at the end of a UTF-8 character.
    """

    paths: tuple[Path, ...]
    blocks: bool = False

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "text", "blocks": self.blocks}

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, position: int) -> Iterator[tuple[Document, int]]:
        """The file, or its blocks; ``position`` is a byte offset."""
        with path.open("rb") as file:
            file.seek(position)
            if not self.blocks:
                if position == 0:
                    content = file.read()
                    yield content, len(content)
                return
            rest = b""
            while chunk := file.read(BLOCK - len(rest)):
                rest += chunk
                cut = _cut(rest) if len(rest) == BLOCK else len(rest)
                position += cut
                yield rest[:cut], position
                rest = rest[cut:]


def _cut(text: bytes) -> int:
    """Where to end a block: after the last line end, or before an unfinished character."""
    end = text.rfind(b"\n") + 1
    if end:
        return end
    cut = len(text)
    while cut > len(text) - 4 and text[cut - 1] & 0xC0 == 0x80:
        cut -= 1
    return cut - 1 if text[cut - 1] & 0xC0 == 0xC0 else len(text)


@dataclass(frozen=True)
class JsonLines:
    """Each line is one JSON object; its ``field`` is one document. Empty lines are skipped."""

    paths: tuple[Path, ...]
    field: str

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "jsonl", "field": self.field}

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, position: int) -> Iterator[tuple[Document, int]]:
        """The documents; ``position`` is the byte offset of a line."""
        with path.open("rb") as file:
            file.seek(position)
            for line in file:
                start, position = position, position + len(line)
                if line.strip():
                    yield self._text(path, start, line), position

    def _text(self, path: Path, start: int, line: bytes) -> bytes:
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {_line_number(path, start)}: no valid JSON ({error}); "
                "mend or remove the line"
            ) from None
        value = row.get(self.field) if isinstance(row, dict) else None
        if not isinstance(value, str):
            found = _found(row, self.field)
            raise ValueError(f"{path}, line {_line_number(path, start)}: {found}")
        return value.encode("utf-8", errors="replace")


def _found(row: Any, field: str) -> str:
    """What a row holds in place of text in ``field``."""
    if not isinstance(row, dict):
        return f"{str(row)[:40]!r} is no JSON object"
    if field in row:
        return f"field {field!r} holds {type(row[field]).__name__}, not text"
    return f"no field {field!r}; it has {', '.join(sorted(row)) or 'none'}: choose with --field"


def _line_number(path: Path, offset: int) -> int:
    count, left = 1, offset
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, 1 << 20))):
            count, left = count + chunk.count(b"\n"), left - len(chunk)
    return count


@dataclass(frozen=True)
class ParquetColumn:
    """Each row of a text column is one document; nulls are skipped."""

    paths: tuple[Path, ...]
    column: str

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "parquet", "column": self.column}

    def size(self, path: Path) -> int:
        """Rows of the file."""
        with open_parquet(path) as file:
            return int(file.metadata.num_rows)

    def read(self, path: Path, position: int) -> Iterator[tuple[Document, int]]:
        """The documents; ``position`` is a row number."""
        import pyarrow as pa

        with open_parquet(path) as file:
            schema = file.schema_arrow
            if self.column not in schema.names:
                raise ValueError(
                    f"{path}: no column {self.column!r}; it has {', '.join(schema.names)}: "
                    "choose one with --column"
                )
            kind = schema.field(self.column).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise ValueError(f"{path}: column {self.column!r} holds {kind}, not text")
            row = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row + rows <= position:
                    row += rows
                    continue
                for batch in file.iter_batches(
                    batch_size=1024, row_groups=[group], columns=[self.column]
                ):
                    for value in batch.column(0):
                        row += 1
                        if row > position and value.is_valid:
                            yield value.as_py().encode(), row


def open_parquet(path: Path) -> Any:
    """The file, opened; ``ValueError`` if it is no Parquet file, or not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{path}: no Parquet file ({error})") from None


@dataclass(frozen=True)
class TokenShards:
    """Files of raw little-endian tokens, cut into documents of 8,192 tokens.

    Where documents begin is not known, so the split is by block.
    """

    paths: tuple[Path, ...]
    dtype: str
    vocab_size: int

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "shards", "dtype": self.dtype, "vocab_size": self.vocab_size}

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, position: int) -> Iterator[tuple[Document, int]]:
        """The blocks; ``position`` is a byte offset."""
        kind = np.dtype(self.dtype).newbyteorder("<")
        size = path.stat().st_size
        if size % kind.itemsize:
            raise ValueError(
                f"{path}: {size} bytes are no whole number of {self.dtype} tokens "
                f"({kind.itemsize} bytes each): choose another --dtype"
            )
        with path.open("rb") as file:
            file.seek(position)
            while chunk := file.read(BLOCK * kind.itemsize):
                tokens = np.frombuffer(chunk, kind)
                if (largest := int(tokens.max())) >= self.vocab_size:
                    at = position // kind.itemsize + int(tokens.argmax())
                    raise ValueError(
                        f"{path}: token {largest} at {at} is not below --vocab-size "
                        f"{self.vocab_size}: choose a larger one, or another --dtype"
                    )
                position += len(chunk)
                yield tokens, position


def digest(document: Document) -> int:
    """64 bits of the sha256 of a document: its identity for duplicates and for the split."""
    content = document if isinstance(document, bytes) else document.tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
