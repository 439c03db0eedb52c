"""How often each run of 1 to n tokens comes: sorted tables, each order's on top of the last's.

A k-gram is a pair, the number of its first k - 1 tokens in the table below and its last token, so
one 64-bit key holds it whatever k and the vocabulary are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 21  # keys that are sorted at once: memory beside the tables
DENSE = 1 << 22  # possible keys up to which each has a place of its own

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """The k-grams of one order that came, sorted.

    Attributes
    ----------
    keys : array (n,)
        Number of the first k - 1 tokens in the table below x V + last token.
    counts : array (n,)
        How often each was predicted: not as the first token of a window.
    """

    keys: NDArray[np.uint64]
    counts: Ints


@dataclass(frozen=True)
class Counts:
    """The tables of orders 1 to n; that of order 1 has all V tokens, in their order."""

    vocab_size: int
    tables: tuple[Grams, ...]

    @property
    def num_counts(self) -> int:
        """N: the counts that are stored, those of 0 left out."""
        return sum(int(np.count_nonzero(table.counts)) for table in self.tables)

    def find(self, order: int, before: Ints, last: NDArray[np.integer]) -> Ints:
        """The numbers of the k-grams of numbers ``before`` and tokens ``last``; -1 for none."""
        if order == 1:
            return last.astype(np.int64)
        found = _find(self.tables[order - 1].keys, _keys(before, last, self.vocab_size))
        return np.where(before < 0, -1, found)

    def before(self, order: int) -> Ints:
        """The number of the first k - 1 tokens of each k-gram in the table below."""
        if order == 1:
            return np.zeros(self.vocab_size, np.int64)
        return (self.tables[order - 1].keys // np.uint64(self.vocab_size)).astype(np.int64)

    def last(self, order: int) -> Ints:
        """The last token of each k-gram."""
        return (self.tables[order - 1].keys % np.uint64(self.vocab_size)).astype(np.int64)

    @cached_property
    def after(self) -> tuple[Ints, ...]:
        """For each order, the number of each k-gram without its first token, one order lower."""
        found = [np.zeros(self.vocab_size, np.int64)]
        for order in range(2, len(self.tables) + 1):
            inside = found[-1][self.before(order)]
            found.append(self.find(order - 1, inside, self.last(order)))
        return tuple(found)

    def sizes(self, order: int) -> int:
        """How many contexts of k - 1 tokens there are: entries of the table below."""
        return 1 if order == 1 else len(self.tables[order - 2].keys)


def count(
    windows: NDArray[np.unsignedinteger],
    vocab_size: int,
    order: int,
    beat: Callable[[float], None] = lambda done: None,
) -> Counts:
    """Count all runs of up to ``order`` tokens in windows ``(n, context + 1)``.

    A window's first token is context alone, as for a network. Time is that of sorting once an
    order; memory a number for each token beside the tables.

    Parameters
    ----------
    beat : callable
        Called now and then with the share that is done; may raise to stop.
    """
    counts = np.zeros(vocab_size, np.int64)
    for rows in _chunks(windows):
        counts += np.bincount(windows[rows, 1:].ravel(), minlength=vocab_size)
    tables = [Grams(np.arange(vocab_size, dtype=np.uint64), counts)]
    numbers: NDArray[np.integer] = windows  # of the k-gram that ends at each place
    for k in range(2, order + 1):
        beat((k - 1) / order)
        size = len(tables[-1].keys) * vocab_size
        keys = _distinct(numbers, windows, k, vocab_size, size, beat)
        tables.append(keys)
        if k < order:
            numbers = _numbers(keys.keys, numbers, windows, k, vocab_size, beat)
    return Counts(vocab_size, tuple(tables))


def _pairs(
    rows: slice, numbers: NDArray[np.integer], windows: NDArray[np.integer], k: int, size: int
) -> NDArray[np.uint64]:
    return _keys(numbers[rows, :-1], windows[rows, k - 1 :], size)


def _keys(before: NDArray[np.integer], last: NDArray[np.integer], size: int) -> NDArray[np.uint64]:
    return before.astype(np.uint64) * np.uint64(size) + last.astype(np.uint64)


def _chunks(windows: NDArray[np.integer]) -> Iterator[slice]:
    rows = max(1, CHUNK // windows.shape[1])
    for low in range(0, len(windows), rows):
        yield slice(low, low + rows)


def _distinct(
    numbers: NDArray[np.integer],
    windows: NDArray[np.integer],
    k: int,
    vocab_size: int,
    size: int,
    beat: Callable[[float], None],
) -> Grams:
    """The distinct k-grams and their counts, a chunk after another."""
    dense = np.zeros(size, np.int64) if size <= DENSE else None
    merged: list[tuple[NDArray[np.uint64], Ints]] = []
    for rows in _chunks(windows):
        keys = _pairs(rows, numbers, windows, k, vocab_size).ravel()
        if dense is not None:
            dense += np.bincount(keys.view(np.int64), minlength=size)
            continue
        beat(0.0)
        merged.append(np.unique(keys, return_counts=True))
        # Equal ones first, as in a binary counter, so that each is merged log(chunks) times.
        while len(merged) > 1 and len(merged[-2][0]) < 2 * len(merged[-1][0]):
            merged.append(_merge(merged.pop(), merged.pop()))
    if dense is not None:
        found = np.flatnonzero(dense)
        return Grams(found.astype(np.uint64), dense[found])
    while len(merged) > 1:
        merged.append(_merge(merged.pop(), merged.pop()))
    return Grams(*merged[0])


def _merge(
    one: tuple[NDArray[np.uint64], Ints], other: tuple[NDArray[np.uint64], Ints]
) -> tuple[NDArray[np.uint64], Ints]:
    keys, counts = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    order = np.argsort(keys, kind="stable")  # of two runs that are sorted: a merge
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[first], np.add.reduceat(counts, first)


def _numbers(
    table: NDArray[np.uint64],
    numbers: NDArray[np.integer],
    windows: NDArray[np.integer],
    k: int,
    vocab_size: int,
    beat: Callable[[float], None],
) -> NDArray[np.integer]:
    """The number of the k-gram that ends at each place ``k - 1``, ... of the windows."""
    kind = np.uint32 if len(table) < 1 << 32 else np.uint64
    found = np.empty((len(windows), windows.shape[1] - k + 1), kind)
    for rows in _chunks(windows):
        beat(0.0)
        keys = _pairs(rows, numbers, windows, k, vocab_size)
        found[rows] = np.searchsorted(table, keys.ravel()).reshape(keys.shape)
    return found


def _find(table: NDArray[np.uint64], keys: NDArray[np.uint64]) -> Ints:
    at = np.minimum(np.searchsorted(table, keys.ravel()), len(table) - 1).reshape(keys.shape)
    return np.where(table[at] == keys, at, -1)
