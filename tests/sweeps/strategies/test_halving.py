"""Promotions by hand: the paper's rules on losses that are known."""

from __future__ import annotations

import random

import pytest

from sweeps.strategies import Proposal, Seen, Trial, Wait
from sweeps.strategies.halving import Asha, Halving
from tests.sweeps.strategies.conftest import best, search


def trial(number, rung, loss, parent=""):
    return Trial({"width": number}, parent, rung=rung, run_id=f"r{number}-{rung}", loss=loss)


def seen_of(*trials):
    return Seen(trials, tuple(t for t in trials if t.loss is not None))


def test_asha_promotes_the_best_third_of_a_rung_and_else_grows_the_lowest(space):
    """Li et al. 2020, algorithm 2 (get_job), worked by hand with eta 3."""
    asha = Asha(rungs=3, eta=3)
    two = [trial(1, 0, 0.5), trial(2, 0, 0.7)]
    drawn = asha.propose(space, seen_of(*two), 0)
    assert isinstance(drawn, Proposal)
    assert (drawn.rung, drawn.parent) == (0, "")
    three = [*two, trial(3, 0, 0.4)]  # floor(3 / 3) = 1: the best one
    assert asha.propose(space, seen_of(*three), 0) == Proposal({"width": 3}, "r3-0", rung=1)
    going = [*three, trial(3, 1, None, "r3-0")]  # it is there already: grow the lowest
    assert asha.propose(space, seen_of(*going), 0).rung == 0
    six = [*going, trial(4, 0, 0.3), trial(5, 0, 0.9), trial(6, 0, 0.8)]  # two may: 4 and 3
    assert asha.propose(space, seen_of(*six), 0) == Proposal({"width": 4}, "r4-0", rung=1)
    # 1 is third of six and may not, 3 of rung 1 leads a rung of three: the highest rung first
    rung1 = [trial(3, 1, 0.2, "r3-0"), trial(4, 1, 0.25, "r4-0"), trial(1, 1, 0.3, "r1-0")]
    full = [*three, trial(4, 0, 0.3), trial(5, 0, 0.9), trial(6, 0, 0.8), *rung1]
    assert asha.propose(space, seen_of(*full), 0) == Proposal({"width": 3}, "r3-1", rung=2)


def test_halving_waits_for_its_rung_and_keeps_a_third(space):
    """9 models, 3, 1, with losses that are known from the start."""
    trials, _, _ = search(Halving(rungs=3, eta=3), space, 0, 26, workers=4)
    bracket = trials[:13]
    assert [t.rung for t in bracket] == [0] * 9 + [1] * 3 + [2]
    first = sorted(bracket[:9], key=lambda t: t.loss)
    assert {t.parent for t in bracket[9:12]} == {t.run_id for t in first[:3]}
    assert bracket[12].options == first[0].options
    assert [t.rung for t in trials[13:]] == [t.rung for t in bracket]  # and another bracket


def test_halving_with_an_open_run_in_the_rung_waits(space):
    rung = [trial(i, 0, 0.1 * i) for i in range(3)] + [trial(3, 0, None)]
    answer = Halving(rungs=2, eta=2, models=4).propose(space, seen_of(*rung), 0)
    assert answer == Wait("for the other runs of rung 0")


@pytest.mark.parametrize("strategy", [Asha(3, 3), Halving(3, 3)])
def test_no_run_goes_on_twice_and_each_from_one_that_ended(space, strategy):
    trials, _, _ = search(strategy, space, 1, 60, workers=5, order=random.Random(0))
    parents = [t.parent for t in trials if t.parent]
    assert len(parents) == len(set(parents))
    by_id = {t.run_id: t for t in trials}
    for t in trials:
        if t.parent:
            assert by_id[t.parent].options == t.options
            assert by_id[t.parent].rung == t.rung - 1
    assert best(trials) == best([t for t in trials if t.rung == 2])


def test_a_run_without_a_loss_is_not_promoted(space):
    trials, _, _ = search(Asha(2, 2), space, 0, 30, told=lambda o, _: float("inf"))
    assert {t.rung for t in trials} == {0}
    answer = Halving(2, 2, models=2).propose(
        space, seen_of(trial(1, 0, float("inf")), trial(2, 0, float("inf"))), 0
    )
    assert answer.rung == 0  # a bracket of which nothing is left is followed by another


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Asha(rungs=1), "rungs 1 is below 2"),
        (lambda: Halving(eta=1), "eta 1 is below 2"),
        (lambda: Halving(rungs=3, eta=3, models=8), r"models 8 is below eta\*\*\(rungs - 1\) = 9"),
    ],
)
def test_settings_that_make_no_sense(make, says):
    with pytest.raises(ValueError, match=says):
        make()
