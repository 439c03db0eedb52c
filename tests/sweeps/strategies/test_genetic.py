"""The genetic algorithm against the one that the paper prints, over codes; bits that mutate."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sweeps.kinds.spaces import Parameter, Space
from sweeps.strategies import Done, SearchSpace, Wait
from sweeps.strategies.bayes import Bayes
from sweeps.strategies.draws import RandomSearch
from sweeps.strategies.evolution import Evolution
from sweeps.strategies.genetic import Genetic
from tests.sweeps.strategies.conftest import SPACE, medians, search

CODES = SearchSpace(Space("codes", "", {"codes": Parameter("codes", (3, 4, 5), each=3)}))
WANTED = "101" + "101001" + "0110101101"  # 3 + 6 + 10 bits


def bits(options):
    return "".join(options["codes"]).replace("-", "")


def distance(options, rung=0):
    """In how many bits a point differs from the one that is wanted."""
    return float(sum(a != b for a, b in zip(bits(options), WANTED, strict=True)))


def paper(first, generations, population, seed, p_c, q_c, p_m, q_m):
    """Xie and Yuille 2017, algorithm 1, on bit strings; a generation has random numbers."""
    stages = [slice(0, 3), slice(3, 9), slice(9, 19)]
    alive, history = list(first), list(first)
    for t in range(1, generations):
        rng = np.random.default_rng([seed, population, t])
        loss = np.array([sum(a != b for a, b in zip(one, WANTED, strict=True)) for one in alive])
        fitness = -loss
        better = fitness - fitness.min()
        if not better.any():  # where the paper divides by 0
            better = np.ones(population)
        weights = better / better.sum()
        alive = [alive[i] for i in rng.choice(population, size=population, p=weights)]  # selection
        for n in range(0, population, 2):
            if rng.random() < p_c:  # crossover
                one, other = list(alive[n]), list(alive[n + 1])
                for stage in stages:
                    if rng.random() < q_c:
                        one[stage], other[stage] = other[stage], one[stage]
                alive[n], alive[n + 1] = "".join(one), "".join(other)
                continue
            for i in (n, n + 1):  # mutation of those that did not cross
                if rng.random() < p_m:
                    alive[i] = "".join(str(int(b) ^ (rng.random() < q_m)) for b in alive[i])
        history += [one for one in alive if one not in history]
        history = list(dict.fromkeys(history))
    return history


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_algorithm_of_the_paper(seed):
    strategy = Genetic(population=10, crossover=0.5, swap=0.4)
    trials, _, _ = search(strategy, CODES, seed, 50, told=distance)
    found = [bits(trial.options) for trial in trials]
    wanted = paper(found[:10], 25, 10, seed, 0.5, 0.4, 0.8, 0.05)
    assert found == wanted[: len(found)]
    assert trials[-1].generation > 3


@pytest.mark.parametrize("tournament", [0, 4])
def test_it_finds_better_codes_than_random_draws_of_the_same_number(tournament):
    def median(strategy):
        best = [
            min(t.loss for t in search(strategy, CODES, s, 60, told=distance)[1]) for s in range(3)
        ]
        return np.median(best)

    assert median(Genetic(10, tournament)) < median(RandomSearch())


def test_workers_that_end_in_another_order_get_the_same_generations_and_wait_for_them():
    once, other = (
        search(Genetic(8), CODES, 0, 40, workers=4, order=random.Random(order), told=distance)[0]
        for order in (1, 2)
    )
    assert [(t.options, t.parent, t.generation) for t in once] == [
        (t.options, t.parent, t.generation) for t in other
    ]


def test_who_failed_is_no_parent():
    def told(options, rung):
        return float("inf") if bits(options)[0] == "0" else distance(options)

    trials, _, _ = search(Genetic(8), CODES, 0, 60, told=told)
    by_id = {trial.run_id: trial for trial in trials}
    assert all(bits(by_id[t.parent].options)[0] == "1" for t in trials if t.parent)


def test_settings_that_are_no_codes_mutate_and_stages_stay_in_order(space):
    assert medians(Genetic(10, flip=0.3), space, 30, range(1)) < 2
    ordered = Parameter("uniform", (1, 20), 1, each=4, order="increasing")
    staged = SearchSpace(Space("s", "", {**SPACE.parameters, "widths": ordered}))
    trials, _, _ = search(Genetic(10, crossover=0.6, swap=0.5, flip=0.3), staged, 0, 40)
    assert all(t.options["widths"] == sorted(t.options["widths"]) for t in trials)
    assert len({tuple(t.options["widths"]) for t in trials}) > 10


def test_a_space_that_is_tried_ends_the_search():
    small = SearchSpace(Space("small", "", {"codes": Parameter("codes", (2, 2), each=2)}))
    trials, _, answer = search(Genetic(2, flip=0.5), small, 0, 10, told=lambda o, _: len(o))
    assert len(trials) == 4
    assert answer == Done("100 generations in a row had no point that was not tried")
    assert isinstance(Genetic(3).propose(small, _seen(trials[:3]), 0), Wait)


def _seen(trials):
    from sweeps.strategies import Seen, Trial

    return Seen(tuple(Trial(**{**vars(t), "loss": None}) for t in trials))


def test_evolution_flips_one_bit_and_tpe_knows_them():
    trials, _, _ = search(Evolution(5, 2), CODES, 0, 60, told=distance)
    by_id = {trial.run_id: trial for trial in trials}
    steps = [
        sum(a != b for a, b in zip(bits(t.options), bits(by_id[t.parent].options), strict=True))
        for t in trials
        if t.parent
    ]
    assert steps.count(1) > 0.8 * len(steps)
    pytest.importorskip("optuna")
    trials, _, _ = search(Bayes(5), CODES, 0, 12, told=distance)
    assert len({bits(trial.options) for trial in trials}) == 12


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"population": 1}, "population 1 is below 2"),
        ({"tournament": 21}, r"tournament 21 is not in \[0, 20\]"),
        ({"flip": 1.5}, r"flip 1.5 is not in \[0, 1\]"),
        ({"mutation": 0, "swap": 0}, "nothing would be new"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(ValueError, match=says):
        Genetic(**settings)
