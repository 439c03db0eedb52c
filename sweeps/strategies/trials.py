"""What a strategy is told, and what it answers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sweeps.strategies.space import SearchSpace

Options = dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """A run to do.

    Attributes
    ----------
    options : dict
        A point of the space.
    parent : str
        The run that it was made from, by mutation or promotion; empty for one drawn anew.
    generation : int or None
        Ancestors by mutation; None where nothing is mutated.
    rung : int
        Promotions before it; its data size is that of its rung.
    """

    options: Options
    parent: str = ""
    generation: int | None = None
    rung: int = 0


@dataclass(frozen=True)
class Trial(Proposal):
    """A proposal that has become a run.

    Attributes
    ----------
    run_id : str
    loss : float or None
        None as long as it is open; infinite where it failed, diverged or was stopped early.
    """

    run_id: str = ""
    loss: float | None = None

    @property
    def value(self) -> float:
        """The loss for comparisons; what has none is worse than all."""
        return math.inf if self.loss is None or math.isnan(self.loss) else self.loss


@dataclass(frozen=True)
class Seen:
    """The runs of a search so far.

    Attributes
    ----------
    trials : tuple of Trial
        In the order in which they were proposed.
    finished : tuple of Trial
        Those that ended, in the order in which they did.
    repeated : frozenset of str
        Further points that are known to be runs of others, by :func:`key`.
    """

    trials: tuple[Trial, ...] = ()
    finished: tuple[Trial, ...] = ()
    repeated: frozenset[str] = frozenset()

    @property
    def open(self) -> tuple[Trial, ...]:
        """Those that have not ended."""
        return tuple(trial for trial in self.trials if trial.loss is None)

    @cached_property
    def tried(self) -> frozenset[str]:
        """The points that were proposed, by :func:`key`."""
        return self.repeated | {key(trial.options) for trial in self.trials}

    def rng(self, seed: int) -> Any:
        """The random numbers of the next proposal: by the seed and its place alone."""
        import numpy as np

        return np.random.default_rng([seed, len(self.trials)])


@dataclass(frozen=True)
class Wait:
    """Nothing can be proposed before another run ends."""

    reason: str


@dataclass(frozen=True)
class Done:
    """Nothing will be proposed any more."""

    reason: str


Next = Proposal | Wait | Done


class Strategy(Protocol):
    """A strategy with its settings: a frozen dataclass, one field a setting."""

    rungs: int
    eta: int

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """The next run, by nothing but the arguments."""


def key(options: Mapping[str, Any]) -> str:
    """A point as a text that equal points share."""
    return json.dumps(options, sort_keys=True)


def none_left(seen: Seen, reason: str) -> Wait | Done:
    """The end of a search that has no further point; not as long as runs are open."""
    return Wait("for the last runs") if seen.open else Done(reason)
