"""Documents out of files of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.info import sha256_of
from scaling.data.text.sources.layouts import Layout, check_type, layout_of
from scaling.data.text.sources.source import BLOCK, BadRow, Document


@dataclass(frozen=True)
class TokenShards:
    """Files of tokens: NumPy, Megatron, llm.c, or raw ones of a declared type.

    Documents are those of a Megatron index. Elsewhere it is not known where they begin: tokens are
    cut into documents of 8,192, so the split is by block.
    """

    paths: tuple[Path, ...]
    dtype: str | None
    vocab_size: int
    is_text = False

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "shards", "dtype": self.dtype, "vocab_size": self.vocab_size}

    def identify(self, path: Path) -> tuple[str, int]:
        """The sum of the file, its kind and its index, and the position after the last document."""
        layout = layout_of(path, self.dtype)
        content = sha256_of(path).hex()
        if layout.kind == "raw":
            check_type(path, layout, self.vocab_size)
            return content, path.stat().st_size
        sums = [layout.kind, content, *([sha256_of(layout.index).hex()] if layout.index else [])]
        return hashlib.sha256("\n".join(sums).encode()).hexdigest(), _end(layout)

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The documents; ``position`` is a byte offset, or a document's number in an index."""
        layout = layout_of(path, self.dtype)
        size = layout.dtype.itemsize
        with path.open("rb") as file:
            if layout.bounds is not None:
                for number in range(position, len(layout.bounds) - 1):
                    first, last = layout.bounds[number : number + 2].tolist()
                    file.seek(first * size)
                    yield (
                        self._tokens(path, layout, file.read((last - first) * size), first),
                        (number + 1),
                    )
                return
            position = max(position, layout.start)
            file.seek(position)
            while position < _end(layout):
                chunk = file.read(min(BLOCK * size, _end(layout) - position))
                first = (position - layout.start) // size
                position += len(chunk)
                yield self._tokens(path, layout, chunk, first), position

    def _tokens(self, path: Path, layout: Layout, chunk: bytes, first: int) -> Document:
        """The tokens in ``chunk``; one that is not below ``vocab_size`` is an error."""
        tokens: NDArray[Any] = np.frombuffer(chunk, layout.dtype)
        wrong = (tokens < 0) | (tokens >= self.vocab_size)
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(
                f"{path}: token {tokens[at]} at {first + at} is not below --vocab-size "
                f"{self.vocab_size}: choose a larger one, or another --dtype"
            )
        if layout.dtype.str in ("<u2", "<u4"):
            return tokens
        return tokens.astype("<u2" if layout.dtype.itemsize <= 2 else "<u4")


def _end(layout: Layout) -> int:
    """The position after the last document of a file."""
    if layout.bounds is not None:
        return len(layout.bounds) - 1
    return layout.start + layout.count * layout.dtype.itemsize


def shard_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files of tokens among ``paths``: an index stands for the ``.bin`` beside it."""
    bins = (path.with_suffix(".bin") if path.suffix == ".idx" else path for path in paths)
    return tuple(dict.fromkeys(bins))
