"""``genetic``: generations by selection, crossover of stages, and mutation.

Source: Xie and Yuille 2017 (arXiv 1703.01513), algorithm 1. Unlike there a point that comes again
is not trained again. The generations follow from the runs so far and are formed anew each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sweeps.strategies.space import SearchSpace, another, flipped, in_order
from sweeps.strategies.trials import Next, Options, Proposal, Seen, Trial, Wait, key, none_left

STALE = 100  # generations in a row without a new point, before there is none


@dataclass(frozen=True)
class Genetic:
    """The genetic algorithm of Genetic CNN; the defaults are the paper's for CIFAR-10
    (section 4.2).

    Attributes
    ----------
    population : int
        N.
    tournament : int
        Each of the next generation is the best of so many; 0 for the roulette, by how much better
        its loss is than the worst one.
    crossover, swap : float
        p_C, that a pair exchanges stages, and q_C, that it does each one. What has no stages is
        one of its own.
    mutation, flip : float
        p_M, that one without a crossover mutates, and q_M, that it does each of its bits, or
        settings.

    Raises
    ------
    ValueError
        For a population below 2, a tournament above it, or no probability.
    """

    population: int = 20
    tournament: int = 0
    crossover: float = 0.2
    swap: float = 0.2
    mutation: float = 0.8
    flip: float = 0.05
    rungs: ClassVar[int] = 1
    eta: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ValueError(f"population {self.population} is below 2: nobody would be paired")
        if not 0 <= self.tournament <= self.population:
            raise ValueError(f"tournament {self.tournament} is not in [0, {self.population}]")
        for name in ("crossover", "swap", "mutation", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name):g} is not in [0, 1]")
        if not (self.crossover and self.swap) and not (self.mutation and self.flip):
            raise ValueError("neither crossover nor mutation: nothing would be new")

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """A random point for the first generation, then what the generation in progress lacks."""
        if len(seen.trials) < self.population:
            point = space.draw(seen.rng(seed), seen.tried)
            if point is not None:
                return Proposal(point, generation=0)
            return none_left(seen, "every point of the space that fits was tried")
        import numpy as np

        trained = {key(trial.options): trial for trial in seen.trials}
        members = list(seen.trials[: self.population])
        generation = stale = 0
        while stale < STALE:
            if any(member.loss is None for member in members):
                return Wait(f"for the other runs of generation {generation}")
            generation += 1
            rng = np.random.default_rng([seed, self.population, generation])
            parents = self._selected(rng, members)
            points = self._children(rng, space, parents, seen.repeated)
            for point, parent in zip(points, parents, strict=True):
                if key(point) not in trained:
                    return Proposal(point, parent.run_id, generation)
            members = [trained[key(point)] for point in points]
            stale = 0 if any(m.generation == generation for m in members) else stale + 1
        return none_left(seen, f"{STALE} generations in a row had no point that was not tried")

    def _selected(self, rng: Any, members: Sequence[Trial]) -> list[Trial]:
        """As many, with replacement."""
        count = len(members)
        if self.tournament:
            drawn = rng.integers(count, size=(count, self.tournament))
            return [min((members[i] for i in row), key=lambda one: one.value) for row in drawn]
        finite = [one.value for one in members if math.isfinite(one.value)]
        worst = max(finite, default=0.0)
        better = [max(0.0, worst - one.value) for one in members]
        if not any(better):  # all are alike; those that failed are not chosen among others
            better = [float(math.isfinite(one.value) or not finite) for one in members]
        total = sum(better)
        return [members[i] for i in rng.choice(count, size=count, p=[b / total for b in better])]

    def _children(
        self, rng: Any, space: SearchSpace, parents: Sequence[Trial], repeated: frozenset[str]
    ) -> list[Options]:
        """Points of the next generation; whose own cannot be is its parent."""
        found = [dict(parent.options) for parent in parents]
        for i in range(0, len(found), 2):
            pair = found[i : i + 2]
            if len(pair) == 2 and rng.random() < self.crossover:
                changed = self._crossed(rng, space, *pair)
            else:
                changed = [
                    self._mutated(rng, space, one) if rng.random() < self.mutation else one
                    for one in pair
                ]
            for j, point in enumerate(changed, i):
                fits = space.check(point) if point != found[j] else None
                if fits is not None and key(fits) not in repeated:
                    found[j] = fits
        return found

    def _crossed(self, rng: Any, space: SearchSpace, one: Options, other: Options) -> list[Options]:
        """Two points with some stages, and some of what has none, exchanged."""
        first, second = dict(one), dict(other)
        parameters = space.space.parameters
        staged = {n: p for n, p in parameters.items() if p.each and not p.tied}
        for name in parameters:
            if name not in staged and rng.random() < self.swap:
                first[name], second[name] = second[name], first[name]
        for stage in range(max((p.each for p in staged.values()), default=0)):
            if rng.random() < self.swap:
                for name in staged:
                    a, b = list(first[name]), list(second[name])
                    a[stage], b[stage] = b[stage], a[stage]
                    first[name], second[name] = a, b
        both = [first, second]
        return (
            both
            if all(in_order(p, x[n]) for n, p in staged.items() for x in both)
            else [one, other]
        )

    def _mutated(self, rng: Any, space: SearchSpace, point: Options) -> Options:
        """``point`` with each bit flipped, and each other setting drawn anew, by chance."""
        child = dict(point)
        for name, parameter in space.space.parameters.items():
            if parameter.distribution == "codes":
                sizes = [math.comb(nodes, 2) for nodes in parameter.values]
                chosen = [(s, i) for s, n in enumerate(sizes) for i in range(n)]
                child[name] = flipped(point[name], {p for p in chosen if rng.random() < self.flip})
                continue
            stages = range(parameter.each) if parameter.each and not parameter.tied else (None,)
            for stage in stages if parameter.size() > 1 else ():
                if rng.random() < self.flip:
                    child[name] = another(parameter, child[name], rng, stage)
        return child
