"""Random search draws what the space's own drawing does, each point once."""

from __future__ import annotations

import numpy as np

from sweeps.kinds.spaces import Parameter, Space
from sweeps.strategies import Done, SearchSpace
from sweeps.strategies.draws import RandomSearch
from tests.sweeps.strategies.conftest import SPACE, search


def test_point_i_is_the_first_draw_of_the_random_numbers_of_seed_and_i(space):
    trials, _, _ = search(RandomSearch(), space, 7, 20)
    drawn = [SPACE.draw(np.random.default_rng([7, i]), 1)[0] for i in range(20)]
    assert [trial.options for trial in trials] == drawn


def test_it_does_not_depend_on_results_or_workers(space):
    alone, together = (search(RandomSearch(), space, 0, 15, workers=w)[0] for w in (1, 4))
    assert [t.options for t in alone] == [t.options for t in together]


def test_a_finite_space_is_tried_to_its_end_and_no_point_twice():
    space = SearchSpace(Space("six", "", {"depth": Parameter("uniform", (1, 6), 1)}))
    trials, _, answer = search(RandomSearch(), space, 0, 50, told=lambda *_: 0.0)
    assert sorted(trial.options["depth"] for trial in trials) == [1, 2, 3, 4, 5, 6]
    assert answer == Done("every point of the space that fits was tried")
