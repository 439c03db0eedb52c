"""``evolution``: regularised (ageing) evolution.

Source: Real et al. 2019 (arXiv 1802.01548), algorithm 1: the population is the last P models that
finished, the parent the best of S drawn from it with replacement, and the oldest dies, however
good. Asynchronous as there (sec. 3.1): whoever is free mutates what has finished by then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from sweeps.strategies.space import SearchSpace
from sweeps.strategies.trials import Next, Proposal, Seen, Wait, none_left


@dataclass(frozen=True)
class Evolution:
    """Ageing evolution.

    Attributes
    ----------
    population : int
        P: models that live, and that are drawn at random first.
    tournament : int
        S: models of which the best is the parent.
    mutations : int
        Settings that a child has anew.

    Raises
    ------
    ValueError
        If the tournament is larger than the population, or one of them below 1.
    """

    population: int = 20
    tournament: int = 5
    mutations: int = 1
    rungs: ClassVar[int] = 1
    eta: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name in ("population", "tournament", "mutations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is below 1")
        if self.tournament > self.population:
            raise ValueError(
                f"tournament {self.tournament} is above population {self.population}: "
                "lower it, as everybody would always take part"
            )

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """A random point for the first population, then a child of the best of a tournament."""
        rng = seen.rng(seed)
        alive = seen.finished[-self.population :]
        if len(seen.trials) < self.population:
            point = space.draw(rng, seen.tried)
            if point is not None:
                return Proposal(point, generation=0)
            return none_left(seen, "every point of the space that fits was tried")
        if not alive:
            return Wait("for the first of the population")
        drawn = [alive[i] for i in rng.integers(len(alive), size=self.tournament)]
        parent = min(drawn, key=lambda trial: trial.value)
        if math.isinf(parent.value):  # nobody of the tournament has a loss
            point, origin, generation = space.draw(rng, seen.tried), "", 0
        else:
            point = space.mutate(rng, parent.options, self.mutations, seen.tried)
            origin, generation = parent.run_id, (parent.generation or 0) + 1
        if point is None:
            return none_left(seen, "the space has no mutation left that was not tried")
        return Proposal(point, origin, generation)
