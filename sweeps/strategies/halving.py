"""``halving`` and ``asha``: many short runs, the best of which go on.

A run of rung k has ``eta**k`` times the data of rung 0, and the last rung what the sweep file
says. A promoted run goes on from the trunk of the one that it was, so what they share is
computed, and counted, once.

Sources: Jamieson & Talwalkar 2016 (arXiv 1502.07943), fig. 3; Li et al. 2020 (arXiv 1810.05934),
algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.strategies.space import SearchSpace
from sweeps.strategies.trials import Next, Proposal, Seen, Trial, Wait, none_left

EXHAUSTED = "every point of the space that fits was tried, and the best are promoted"


@dataclass(frozen=True)
class _Rungs:
    """How many rungs there are, and what part of each goes on.

    Raises
    ------
    ValueError
        For fewer than 2 rungs or an ``eta`` below 2.
    """

    rungs: int = 3
    eta: int = 3

    def __post_init__(self) -> None:
        for name in ("rungs", "eta"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} {getattr(self, name)} is below 2: nothing would be cut")


@dataclass(frozen=True)
class Halving(_Rungs):
    """Successive halving, bracket after bracket: a rung begins when the one before is complete.

    Attributes
    ----------
    models : int
        How many points a bracket begins with; 0 for ``eta**(rungs - 1)``, of which one is left.
    """

    models: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        least = self.eta ** (self.rungs - 1)
        if self.models and self.models < least:
            raise ValueError(
                f"models {self.models} is below eta**(rungs - 1) = {least}: none would reach the "
                "last rung"
            )

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """The next of the rung in progress; a new bracket where none is."""
        models = self.models or self.eta ** (self.rungs - 1)
        begun = [trial for trial in seen.trials if trial.rung == 0]
        point = space.draw(seen.rng(seed), seen.tried)
        if len(begun) % models and point is not None:
            return Proposal(point)
        bracket = begun[-(len(begun) % models or models) :]
        if bracket and (further := self._further(seen, bracket)):
            return further
        return none_left(seen, EXHAUSTED) if point is None else Proposal(point)

    def _further(self, seen: Seen, members: Sequence[Trial]) -> Proposal | Wait | None:
        """What the rungs of a bracket ask for; None when it is complete."""
        for rung in range(self.rungs):
            if any(trial.loss is None for trial in members):
                return Wait(f"for the other runs of rung {rung}")
            if rung == self.rungs - 1:
                break
            best = top(members, len(members) // self.eta)
            if promotion := next_promotion(seen, best):
                return promotion
            chosen = {trial.run_id for trial in best}
            members = [trial for trial in seen.trials if trial.parent in chosen]
        return None


@dataclass(frozen=True)
class Asha(_Rungs):
    """Asynchronous successive halving: whoever is among the best of its rung so far goes on."""

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """A promotion from the highest rung that has one, else a new point (``get_job``)."""
        for rung in reversed(range(self.rungs - 1)):
            ended = [trial for trial in seen.finished if trial.rung == rung]
            if promotion := next_promotion(seen, top(ended, len(ended) // self.eta)):
                return promotion
        point = space.draw(seen.rng(seed), seen.tried)
        return none_left(seen, EXHAUSTED) if point is None else Proposal(point)


def top(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The ``count`` of least loss, the earlier of equals; those without a loss are not among."""
    ranked = sorted(trials, key=lambda trial: trial.value)
    return [trial for trial in ranked[:count] if math.isfinite(trial.value)]


def next_promotion(seen: Seen, best: Sequence[Trial]) -> Proposal | None:
    """The first of the best that has not gone on yet, on the next rung."""
    promoted = {trial.parent for trial in seen.trials}
    for trial in best:
        if trial.run_id not in promoted:
            return Proposal(dict(trial.options), trial.run_id, rung=trial.rung + 1)
    return None
