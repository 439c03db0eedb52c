"""What a row of tokens looks like: its runs of one, two and three, and how they are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.counting.grams import Counts, count
from scaling.data import TokenData

ORDERS = 3
STRIDE = 4096  # tokens of a window; runs across its end are left out, one in so many
SHOWN = 512  # points of a curve of ranks
FEW_RANKS = 10  # a line through fewer says nothing


@dataclass(frozen=True)
class OrderFacts:
    """The runs of k tokens of a data set.

    Attributes
    ----------
    order : int
        k.
    tokens : int
        How many runs there are.
    distinct, once : int
        Different ones, and those of them that come once.
    entropy : float
        Of the last token given the k - 1 before it, in bits, as the counts have it: below the
        true one where most runs come seldom.
    zipf_exponent : float
        a of count ~ rank^-a (Zipf 1949): minus the slope of ln count on ln rank, by least squares
        over ranks evenly spaced in ln rank.
    top : tuple of (tokens, count)
        The most frequent.
    ranks, counts : array
        Points of the curve of counts by rank, from the most frequent.
    """

    order: int
    tokens: int
    distinct: int
    once: int
    entropy: float
    zipf_exponent: float
    top: tuple[tuple[tuple[int, ...], int], ...]
    ranks: NDArray[np.int64]
    counts: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """All but the curve."""
        facts = {k: v for k, v in vars(self).items() if k not in ("ranks", "counts", "top")}
        return {**facts, "top": [{"tokens": list(run), "count": n} for run, n in self.top]}


def describe_tokens(data: TokenData, limit: int = 0, top: int = 10) -> list[OrderFacts]:
    """Unigrams, bigrams and trigrams of the tokens to train on, the first ``limit`` (all for 0).

    Raises
    ------
    ValueError
        If there are fewer than two tokens.
    """
    size = min(limit or len(data.train), len(data.train))
    if size < 2:
        raise ValueError(f"{data.info.name} has {size} tokens here: two are the least")
    stride = min(STRIDE, size - 1)
    vocab_size = int(data.info.vocab_size or 0)
    kind = np.min_scalar_type(vocab_size - 1)
    numbers = np.arange((size - 1) // stride)
    parts = [
        data.windows(numbers[low : low + STRIDE], stride).astype(kind)
        for low in range(0, len(numbers), STRIDE)
    ]
    counts = count(np.concatenate(parts), vocab_size, ORDERS)
    return [_facts(counts, order, top) for order in range(1, ORDERS + 1)]


def _facts(counts: Counts, order: int, top: int) -> OrderFacts:
    found = counts.tables[order - 1].counts
    by_rank = np.argsort(-found, kind="stable")
    by_rank = by_rank[: np.count_nonzero(found)]
    sizes = found[by_rank]
    ranks = np.unique(np.geomspace(1, max(1, len(sizes)), SHOWN).round().astype(np.int64))
    return OrderFacts(
        order=order,
        tokens=int(found.sum()),
        distinct=len(sizes),
        once=int(np.count_nonzero(sizes == 1)),
        entropy=_entropy(counts, order),
        zipf_exponent=_slope(ranks, sizes[ranks - 1]),
        top=tuple((run_of(counts, order, int(i)), int(found[i])) for i in by_rank[:top]),
        ranks=ranks,
        counts=sizes[ranks - 1],
    )


def run_of(counts: Counts, order: int, number: int) -> tuple[int, ...]:
    """The tokens of a k-gram by its number."""
    tokens: list[int] = []
    for k in range(order, 0, -1):
        tokens.append(int(counts.last(k)[number]) if k > 1 else number)
        number = int(counts.before(k)[number]) if k > 1 else 0
    return tuple(reversed(tokens))


def _entropy(counts: Counts, order: int) -> float:
    """sum over x, x' of n(x, x') / n log2 (n(x) / n(x, x'))."""
    found = counts.tables[order - 1].counts.astype(np.float64)
    total = np.bincount(counts.before(order), weights=found, minlength=counts.sizes(order))
    seen = found > 0
    share = np.log2(total[counts.before(order)][seen] / found[seen])
    return float((found[seen] * share).sum() / found.sum())


def _slope(ranks: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    if len(ranks) < FEW_RANKS:
        return float("nan")
    x, y = np.log(ranks), np.log(sizes)
    x = x - x.mean()
    return float(-(x * y).sum() / (x * x).sum())
