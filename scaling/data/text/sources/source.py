"""What a source of documents offers, and what is a document and what is not.

A source reads one file at a time from a position on and yields, for each document, its content
and the position after it, so that work can go on where it stopped. What is no document comes as a
:class:`BadRow`; whoever reads decides what becomes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192  # bytes (tokens, for shards) of one document cut out of a long text
LONGEST = 256 << 20  # bytes of a line of JSON

_ARRAY = "; one JSON array is not JSON Lines: write a line for each of its objects"

Document = bytes | NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class BadRow:
    """A row that is no document: where it is, a short ``reason`` to count it by, and a sentence."""

    where: str
    reason: str
    says: str

    @property
    def refusal(self) -> str:
        """What to say where bad rows are not skipped."""
        return (
            f"{self.where}: {self.says}; mend or remove it, or leave such rows out with --skip-bad"
        )


class Source(Protocol):
    """Files and how documents are read from them.

    Attributes
    ----------
    is_text : bool
        Whether documents are bytes of text; they are tokens otherwise.
    """

    is_text: bool

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""

    def identify(self, path: Path) -> tuple[str, int]:
        """What tells one file's content from another's, and the position after its last document.

        Raises
        ------
        ValueError
            If the file is not of this kind.
        """

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The documents of one file from ``position`` on, each with the position after it."""


def text_of(where: str, what: str, value: Any) -> Document | BadRow:
    """A value as a document of text, the same rule for every format.

    Null, what is not text, and text that cannot be written as UTF-8 are bad.
    """
    if value is None:
        return BadRow(where, "null", f"{what} is null")
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return BadRow(where, "not UTF-8", f"{what} holds bytes that are not UTF-8 ({error})")
        if b"\0" in value:
            return BadRow(where, "binary", f"{what} holds NUL bytes: it is no text")
        return value
    if not isinstance(value, str):
        return BadRow(where, "not text", f"{what} holds {type(value).__name__}, not text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        return BadRow(where, "half a surrogate pair", f"{what} holds half a surrogate pair")


def digest(document: Document) -> int:
    """64 bits of the sha256 of a document: its identity for duplicates and for the split."""
    content = document if isinstance(document, bytes) else document.tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def token_type(vocab_size: int) -> np.dtype[Any]:
    """The type in which tokens of a vocabulary are kept."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")
