"""What ``scaling data describe`` says, against counts by hand and a law that was planted."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from scaling.cli import main
from scaling.counting import describe_tokens
from scaling.data import DataInfo, TokenData, open_data


def made(tokens, vocab_size):
    info = DataInfo("made up", "", "token", len(tokens), 0, vocab_size=vocab_size)
    return TokenData(info, np.asarray(tokens, np.uint16), np.empty(0, np.uint16))


def test_runs_are_those_counted_by_hand(tiny):
    data = open_data("tiny")
    stream = data.train[: 1 + (len(data.train) - 1) // 4096 * 4096].tolist()
    one, two, _ = describe_tokens(data, top=5)
    by_hand = Counter(pairwise(stream))
    assert two.distinct == len(by_hand) and two.tokens == len(stream) - 1
    assert two.once == sum(n == 1 for n in by_hand.values())
    assert [n for _, n in two.top] == [n for _, n in by_hand.most_common(5)]
    assert all(by_hand[run] == n for run, n in two.top)
    single = Counter(stream[1:])
    assert one.distinct == len(single)
    shares = np.array([*single.values()]) / (len(stream) - 1)
    assert one.entropy == pytest.approx(-(shares * np.log2(shares)).sum())


def test_zipfs_exponent_is_found():
    counts = (1e5 / np.arange(1, 200) ** 1.3).astype(int)
    tokens = np.random.default_rng(0).permutation(np.repeat(np.arange(199), counts))
    assert describe_tokens(made(tokens, 199))[0].zipf_exponent == pytest.approx(1.3, abs=0.02)


def test_a_periodic_row_has_no_entropy():
    facts = describe_tokens(made([0, 1, 2] * 1000, 5))
    assert facts[0].entropy == pytest.approx(np.log2(3), abs=1e-3)
    assert facts[1].entropy == facts[2].entropy == 0.0
    assert sorted(run for run, _ in facts[2].top) == [(0, 1, 2), (1, 2, 0), (2, 0, 1)]


def test_the_command(tiny, tmp_path, capsys):
    picture = tmp_path / "zipf.png"
    assert main(["data", "describe", "tiny", "--json", "-o", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["order"] for one in found["orders"]] == [1, 2, 3]
    assert picture.stat().st_size > 10_000
    assert main(["data", "describe", "tiny", "--top", "3"]) == 0
    assert "most frequent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["digits"], "digits has examples, and describe counts tokens"),
        (["tiny", "--limit", "-1"], "--limit -1 is below 0"),
        (["tiny", "-o", "x.gif"], "-o x.gif: a figure is written as .png"),
        (["tinny"], "no data set 'tinny'"),
    ],
)
def test_bad_input_is_one_line(tiny, words, told, capsys):
    assert main(["data", "describe", *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
