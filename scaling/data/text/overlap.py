"""How much of what is evaluated is trained on too, wherever documents begin.

Equal documents are found by their digests. An excerpt, or text that is cut into blocks elsewhere,
has no equal document; it has equal windows. Of all windows of 64 bytes (32 tokens) those count
whose hash ends in five zeros, so that the same ones count on both sides (Schleimer, Wilkerson and
Aiken 2003, Winnowing, section 2: "0 mod p").
"""

from __future__ import annotations

from array import array
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scaling.data.text.sources import Document

Marks = NDArray[np.uint64]

PIECE = 1 << 15  # bytes (tokens) whose windows are hashed at once
EVERY = np.uint64(31)  # bits of a hash that are 0 in one that counts
FEW = 8  # windows that say nothing
MOST = 16  # documents that a window is remembered of: all of them are hardly held out
_BASE = 0x9E3779B97F4A7C15  # any odd number
_MIX = np.uint64(0xD6E8FEB86659FD93)
_NONE: Marks = np.empty(0, np.uint64)


def marks_of(document: Document) -> Marks:
    """The hashes of the windows of a document that count."""
    text = isinstance(document, bytes)
    values = np.frombuffer(document, np.uint8) if isinstance(document, bytes) else document
    width = 64 if text else 32
    found = [
        _hashes(values[start : start + PIECE + width - 1], width)
        for start in range(0, len(values) - width + 1, PIECE)
    ]
    return np.concatenate(found) if found else _NONE


def _hashes(values: NDArray[np.unsignedinteger], width: int) -> Marks:
    """Those that count of the sums over each window of value x base^-place, modulo 2^64, mixed."""
    powers, inverses = _powers()
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum((values + np.uint64(1)) * inverses[: len(values)], out=sums[1:])
    hashes: Marks = (sums[width:] - sums[:-width]) * powers[: len(values) - width + 1]
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    counted: Marks = hashes[hashes & EVERY == 0]
    return counted


@cache
def _powers() -> tuple[Marks, Marks]:
    """The powers of the base and of its inverse modulo 2^64, from 0 on."""

    def powers(base: int) -> Marks:
        factors = np.full(PIECE + 64, base, np.uint64)
        factors[0] = 1
        return np.cumprod(factors, dtype=np.uint64)

    return powers(_BASE), powers(pow(_BASE, -1, 2**64))


class Overlap:
    """Which windows of evaluated sets are in which documents to train on.

    Memory is that of the windows which count, about half a byte for each byte that is evaluated,
    and of up to ``MOST`` places of each that is found.
    """

    def __init__(self) -> None:
        self._sets: dict[str, array[int]] = {}
        self._marks: Marks | None = None
        self._found: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._places: list[tuple[NDArray[np.int64], Marks]] = []

    def add(self, label: str, document: Document) -> None:
        """Add a document of an evaluated set; all of them before the first to train on."""
        self._sets.setdefault(label, array("Q")).frombytes(marks_of(document).tobytes())

    def see(self, number: int, document: Document) -> None:
        """Note what document ``number`` of those to train on has of the evaluated sets."""
        if self._marks is None:
            self._marks = np.unique(np.concatenate([*map(_distinct, self._sets.values()), _NONE]))
            self._found = np.zeros(len(self._marks), np.uint8)
        if not len(self._marks):
            return
        marks = marks_of(document)
        at = np.searchsorted(self._marks, marks).clip(max=len(self._marks) - 1)
        at = np.unique(at[self._marks[at] == marks])
        at = at[self._found[at] < MOST]
        if len(at):
            self._found[at] += 1
            self._places.append((np.full(len(at), number, np.int64), self._marks[at]))

    def shares(self, trained: NDArray[np.bool_]) -> dict[str, float]:
        """The share of each set that is in the documents that are ``trained`` on."""
        seen = [marks[trained[numbers]] for numbers, marks in self._places]
        found = np.unique(np.concatenate([*seen, _NONE]))
        shares = {}
        for label, raw in self._sets.items():
            marks = _distinct(raw)
            shares[label] = float(np.isin(marks, found).mean()) if len(marks) >= FEW else 0.0
        return shares


def _distinct(raw: array[int]) -> Marks:
    return np.unique(np.frombuffer(raw, np.uint64))
