"""n-grams against a model made of dictionaries, hand counts and sums to one."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from scaling.counting import count, grams, smooth
from scaling.counting.smoothing import FALLBACK, discounts_of


def windows_of(rng, vocab_size, rows=40, context=12):
    """Zipf's tokens, of which each depends on the one before."""
    found = rng.zipf(1.5, (rows, context + 1)) % vocab_size
    found[:, 1:] = (found[:, 1:] + found[:, :-1] * (rng.random((rows, context)) < 0.7)) % vocab_size
    return found.astype(np.uint8)


def grams_by_hand(windows, order):
    """k-gram -> how often it was predicted, for each k: no window's first token is."""
    found = [Counter() for _ in range(order + 1)]
    for window in windows.tolist():
        for end in range(1, len(window)):
            for k in range(1, min(order, end + 1) + 1):
                found[k][tuple(window[end - k + 1 : end + 1])] += 1
    return found


class Dictionaries:
    """The same models, one probability after another, straight from the formulas."""

    def __init__(self, windows, vocab_size, order, smoothing, epsilon):
        self.counts = grams_by_hand(windows, order)
        self.V, self.n, self.smoothing, self.eps = vocab_size, order, smoothing, epsilon
        if smoothing == "kneser-ney":
            for k in range(1, order):  # N1+(. g), the number of words before g
                self.counts[k] = Counter(gram[1:] for gram in self.counts[k + 1])
        self.after = [defaultdict(dict) for _ in range(order + 1)]
        for k in range(1, order + 1):
            for gram, number in self.counts[k].items():
                self.after[k][gram[:-1]][gram[-1]] = number

    def discounts(self, k):
        of = Counter(self.counts[k].values())
        if not (of[1] and of[2] and of[3]):
            return FALLBACK
        y = of[1] / (of[1] + 2 * of[2])
        found = [i - (i + 1) * y * of[i + 1] / of[i] for i in (1, 2, 3)]
        return found if all(0 < d <= i for i, d in enumerate(found, 1)) else FALLBACK

    def probability(self, context, token):
        k = min(len(context) + 1, self.n)
        return self.at(k, tuple(context[len(context) - k + 1 :]), token)

    def at(self, k, context, token):
        if k == 0:
            return 1 / self.V
        found = self.after[k][context]
        total, number = sum(found.values()), found.get(token, 0)
        if self.smoothing == "additive":
            return (number + self.eps) / (total + self.eps * self.V)
        below = self.at(k - 1, context[1:], token)
        if self.smoothing == "backoff":
            return (number + self.eps * below) / (total + self.eps)
        if not total:
            return below
        d = [0, *self.discounts(k)]
        kept = sum(d[min(c, 3)] for c in found.values())
        return (number - d[min(number, 3)] + kept * below) / total


@pytest.mark.parametrize("smoothing", ["additive", "backoff", "kneser-ney"])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_dictionaries(smoothing, order):
    rng = np.random.default_rng(order)
    trained, asked = windows_of(rng, 9), windows_of(rng, 9, rows=5)
    model = smooth(count(trained, 9, order), smoothing, 0.7)
    peer = Dictionaries(trained, 9, order, smoothing, 0.7)
    expected = [
        [peer.probability(row[:t], row[t]) for t in range(1, len(row))] for row in asked.tolist()
    ]
    assert model.probabilities(asked) == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("smoothing", ["additive", "backoff", "kneser-ney"])
def test_probabilities_sum_to_one_in_any_context(smoothing):
    rng = np.random.default_rng(1)
    model = smooth(count(windows_of(rng, 30), 30, 3), smoothing, 0.1)
    contexts = rng.integers(0, 30, (50, 2))  # most of them never came
    rows = np.concatenate([np.repeat(contexts, 30, axis=0), np.tile(np.arange(30), 50)[:, None]], 1)
    found = model.probabilities(rows)[:, -1].reshape(50, 30)
    assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert found.min() > 0


def test_laplace_by_hand():
    # "abab|b": after a came b twice; after b came a once and b once.
    model = smooth(count(np.array([[0, 1, 0, 1, 1]], np.uint8), 3, 2), "additive", 1.0)
    found = model.probabilities(np.array([[0, 1], [0, 0], [1, 0], [1, 1], [2, 0]]))[:, 0]
    assert found == pytest.approx([3 / 5, 1 / 5, 2 / 5, 2 / 5, 1 / 3])


def test_a_unigram_recursion_by_hand():
    # P(a) = (1 + eps / V) / (4 + eps), P(b|a) = (2 + eps P(b)) / (2 + eps)
    model = smooth(count(np.array([[0, 1, 0, 1, 1]], np.uint8), 3, 2), "backoff", 0.5)
    p_b = (3 + 0.5 / 3) / 4.5
    assert model.probabilities(np.array([[0, 1]]))[0, 0] == pytest.approx((2 + 0.5 * p_b) / 2.5)
    assert model.probabilities(np.array([[2, 1]]))[0, 0] == pytest.approx(p_b)


@pytest.mark.parametrize("order", [1, 4])
def test_counts_are_those_of_dictionaries_however_they_are_cut(order, monkeypatch):
    windows = windows_of(np.random.default_rng(2), 50, rows=200)
    whole = count(windows, 50, order)
    by_hand = grams_by_hand(windows, order)
    assert whole.num_counts == sum(map(len, by_hand))
    for table, found in zip(whole.tables, by_hand[1:], strict=True):
        kept = table.counts[table.counts > 0]
        assert sorted(kept.tolist()) == sorted(found.values())
    monkeypatch.setattr(grams, "CHUNK", 100)
    monkeypatch.setattr(grams, "DENSE", 0)
    parts = count(windows, 50, order)
    for table, other in zip(whole.tables, parts.tables, strict=True):
        assert (table.keys == other.keys).all()
        assert (table.counts == other.counts).all()


def test_chen_and_goodmans_discounts():
    # Chen and Goodman 1999, eq. 26, by hand for n1, n2, n3, n4 = 6, 3, 2, 1: Y = 1/2
    found = np.repeat([1, 2, 3, 4], [6, 3, 2, 1])
    assert discounts_of(found) == pytest.approx((0.5, 1.0, 2.0))
    assert discounts_of(np.array([5, 7, 9])) == FALLBACK
