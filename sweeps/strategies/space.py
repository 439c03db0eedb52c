"""A design space as strategies use it: drawn from, and mutated, within what can be built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from scaling.families.vision import write_code
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


def another(parameter: Parameter, value: Any, rng: Any, stage: int | None = None) -> Any:
    """Another setting of a parameter; of one with stages, another of one stage; of a code, one
    bit."""
    if parameter.distribution == "codes":
        bits = [
            (i, bit) for i, nodes in enumerate(parameter.values) for bit in range(comb(nodes, 2))
        ]
        return flipped(value, [bits[int(rng.integers(len(bits)))]])
    for _ in range(REDRAWS):
        drawn = parameter.draw(rng, 1)[0]
        if parameter.each and not parameter.tied:
            place = int(rng.integers(parameter.each)) if stage is None else stage
            drawn = [drawn[i] if i == place else old for i, old in enumerate(value)]
            if not in_order(parameter, drawn):
                continue
        if drawn != value:
            return drawn
    return value


def in_order(parameter: Parameter, stages: list[Any]) -> bool:
    """Whether the stages are in the parameter's order, if it has one."""
    decreasing = parameter.order == "decreasing"
    return not parameter.order or stages == sorted(stages, reverse=decreasing)


def flipped(codes: Sequence[str], places: Collection[tuple[int, int]]) -> list[str]:
    """``codes`` with the bits at (stage, place in it) flipped."""
    found = []
    for stage, code in enumerate(codes):
        bits = code.replace("-", "")
        found.append(
            write_code("".join(str(int(b) ^ ((stage, i) in places)) for i, b in enumerate(bits)))
        )
    return found
