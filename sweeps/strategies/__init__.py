"""Ways to choose the next run by the results so far: one strategy a file, and their registry.

A strategy is a pure function of the space, its settings, a seed and the runs so far: it has no
state, so a search can end at any point and go on anywhere.
"""

from __future__ import annotations

from sweeps.strategies.block import Plan, read_plan
from sweeps.strategies.space import SearchSpace
from sweeps.strategies.trials import (
    Done,
    Next,
    Proposal,
    Seen,
    Strategy,
    Trial,
    Wait,
    key,
    none_left,
)

__all__ = [
    "Done",
    "Next",
    "Plan",
    "Proposal",
    "SearchSpace",
    "Seen",
    "Strategy",
    "Trial",
    "Wait",
    "key",
    "none_left",
    "read_plan",
]
