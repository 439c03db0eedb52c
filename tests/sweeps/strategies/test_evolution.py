"""Regularised evolution against the algorithm as the paper prints it, and against random search."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest

from scaling.families import get_family
from sweeps.kinds.spaces import Parameter, Space
from sweeps.strategies import Done, SearchSpace
from sweeps.strategies.draws import RandomSearch
from sweeps.strategies.evolution import Evolution
from sweeps.strategies.space import another
from sweeps.strategies.trials import key
from tests.sweeps.strategies.conftest import SPACE, loss, medians, search


def paper(cycles, population_size, sample_size, seed):
    """Real et al. 2019, algorithm 1, line by line; each cycle has random numbers of its own."""
    population, history = collections.deque(), []
    known = set()
    while len(population) < population_size:
        rng = np.random.default_rng([seed, len(history)])
        model = SPACE.draw(rng, 1)[0]
        population.append((model, loss(model)))
        history.append((model, loss(model)))
        known.add(key(model))
    while len(history) < cycles:
        rng = np.random.default_rng([seed, len(history)])
        sample = []
        while len(sample) < sample_size:
            sample.append(rng.integers(len(population), size=sample_size - len(sample)))
            sample = list(sample[0])
        parent = min((population[i] for i in sample), key=lambda member: member[1])
        child = dict(parent[0])
        while key(child) in known:  # a model that was trained is mutated on
            name = list(SPACE.parameters)[int(rng.integers(len(SPACE.parameters)))]
            child[name] = another(SPACE.parameters[name], child[name], rng)
        population.append((child, loss(child)))
        history.append((child, loss(child)))
        known.add(key(child))
        population.popleft()
    return [model for model, _ in history]


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_algorithm_of_the_paper(space, seed):
    trials, _, _ = search(Evolution(population=8, tournament=3), space, seed, 60)
    assert [trial.options for trial in trials] == paper(60, 8, 3, seed)


def test_a_child_differs_from_its_parent_in_one_dial_and_knows_it(space):
    trials, _, _ = search(Evolution(population=5, tournament=2), space, 3, 40)
    by_id = {trial.run_id: trial for trial in trials}
    changes = []
    for child in trials[5:]:
        parent = by_id[child.parent]
        changes.append(sum(child.options[name] != parent.options[name] for name in child.options))
        assert child.generation == parent.generation + 1
    assert min(changes) == 1
    assert changes.count(1) > 0.8 * len(changes)  # more where the first was tried already
    assert all(trial.parent == "" and trial.generation == 0 for trial in trials[:5])


def test_the_oldest_die_however_good(space):
    """With a loss that grows with time the first is best, and stops being a parent."""
    clock = iter(range(1000))
    trials, _, _ = search(
        Evolution(population=4, tournament=4), space, 0, 30, told=lambda *_: next(clock)
    )
    for i, child in enumerate(trials[4:], 4):
        assert int(child.parent[1:]) >= i - 4


def test_it_finds_better_models_than_random_draws_of_the_same_number(space):
    seeds = range(5)
    evolved = medians(Evolution(population=10, tournament=5), space, 60, seeds)
    assert evolved < 0.7 * (medians(RandomSearch(), space, 60, seeds) - 1) + 1


def test_the_same_seed_and_finishing_order_give_the_same_children(space):
    once, again, other = (
        search(Evolution(6, 3), space, 0, 40, workers=4, order=random.Random(order))[0]
        for order in (1, 1, 2)
    )
    assert once == again
    assert once != other


def test_a_run_without_a_loss_is_no_parent(space):
    def told(options, rung):
        return float("inf") if options["depth"] > 3 else loss(options)

    trials, _, _ = search(Evolution(population=8, tournament=2), space, 0, 50, told=told)
    by_id = {trial.run_id: trial for trial in trials}
    assert all(by_id[t.parent].options["depth"] <= 3 for t in trials if t.parent)


def test_a_space_without_a_mutation_left_ends_the_search():
    small = SearchSpace(Space("small", "", {"depth": Parameter("uniform", (1, 5), 1)}))
    trials, _, answer = search(
        Evolution(3, 2), small, 0, 10, told=lambda options, _: options["depth"]
    )
    assert {trial.options["depth"] for trial in trials} == {1, 2, 3, 4, 5}
    assert answer == Done("the space has no mutation left that was not tried")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"population": 0}, "population 0 is below 1"),
        ({"population": 3, "tournament": 5}, "tournament 5 is above population 3"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(ValueError, match=says):
        Evolution(**settings)


def test_stages_in_order_stay_in_order():
    parameter = Parameter("uniform", (1, 20), 1, each=4, order="increasing")
    rng = np.random.default_rng(0)
    value = [2, 4, 8, 16]
    for _ in range(50):
        changed = another(parameter, value, rng)
        assert changed == sorted(changed)
        assert sum(a != b for a, b in zip(changed, value, strict=True)) == 1
        value = changed


def test_a_child_of_a_cell_has_another_operation_on_one_edge():
    """Cells as lists of edges; those with a node that sees nothing are not proposed."""
    operations, darts = ("none", "skip_connect", "sep_conv_3x3"), get_family("darts")
    cells = {kind: Parameter("choices", operations, each=5) for kind in ("normal", "reduce")}

    def check(point):
        try:
            darts.configure({"resolution": 14, **point})
        except ValueError:
            return None
        return point

    rng, space = np.random.default_rng(0), SearchSpace(Space("cells", "darts", cells), check)
    for _ in range(20):
        parent = space.draw(rng, ())
        child = space.mutate(rng, parent, 1, {key(parent)})
        pairs = [pair for kind in cells for pair in zip(parent[kind], child[kind], strict=True)]
        assert sum(before != after for before, after in pairs) == 1
        assert check(child) == child
