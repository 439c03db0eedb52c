"""A design space as strategies use it: drawn from, and mutated, within what can be built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.kinds import Parameter, Space
from sweeps.strategies.trials import Options, key

DRAWS = 10_000  # of points, to find one that fits and is new
STEPS = 1_000  # of a walk by mutations, for the same
REDRAWS = 100  # of a setting, to find another one

Check = Callable[[Options], Options | None]


@dataclass(frozen=True)
class SearchSpace:
    """A design space and what of it can be built.

    Attributes
    ----------
    space : Space
    check : callable
        From a point to the same as it is built, or to None where it cannot be or its counts are
        out of range.
    """

    space: Space
    check: Check = dict

    def draw(self, rng: Any, tried: Collection[str]) -> Options | None:
        """A point that was not tried, uniformly; None if none is found in ``DRAWS``."""
        for _ in range(DRAWS):
            point = self.check(self.space.draw(rng, 1)[0])
            if point is not None and key(point) not in tried:
                return point
        return None

    def mutate(
        self, rng: Any, parent: Mapping[str, Any], count: int, tried: Collection[str]
    ) -> Options | None:
        """``parent`` with ``count`` settings drawn anew; None if no such point is left.

        A child that was tried already is mutated on, and one that cannot be built is dropped for
        its parent, ``STEPS`` times.
        """
        child = dict(parent)
        for _ in range(STEPS):
            changed = dict(child)
            for _ in range(count):
                changed = self._mutated(rng, changed)
            point = self.check(changed)
            if point is not None and key(point) not in tried:
                return point
            child = dict(parent) if point is None else point
        return None

    def _mutated(self, rng: Any, point: Mapping[str, Any]) -> Options:
        names = [name for name, parameter in self.space.parameters.items() if parameter.size() > 1]
        name = names[int(rng.integers(len(names)))]
        return {**point, name: another(self.space.parameters[name], point[name], rng)}


def another(parameter: Parameter, value: Any, rng: Any) -> Any:
    """Another setting of a parameter; of one with stages, another of one stage."""
    for _ in range(REDRAWS):
        drawn = parameter.draw(rng, 1)[0]
        if parameter.each and not parameter.tied:
            stage = int(rng.integers(parameter.each))
            drawn = [drawn[i] if i == stage else old for i, old in enumerate(value)]
            if parameter.order and drawn != sorted(drawn, reverse=parameter.order == "decreasing"):
                continue
        if drawn != value:
            return drawn
    return value
