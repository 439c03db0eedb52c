"""``random``: points drawn independently, none twice (Bergstra & Bengio 2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sweeps.strategies.space import SearchSpace
from sweeps.strategies.trials import Next, Proposal, Seen, none_left


@dataclass(frozen=True)
class RandomSearch:
    """Uniform draws from the space."""

    rungs: ClassVar[int] = 1
    eta: ClassVar[int] = 1

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """A new point."""
        point = space.draw(seen.rng(seed), seen.tried)
        if point is None:
            return none_left(seen, "every point of the space that fits was tried")
        return Proposal(point)
