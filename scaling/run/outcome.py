"""How a call of a trainer ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a call of a trainer ended.

    Attributes
    ----------
    status : {"done", "diverged", "stopped", "failed"}
        ``stopped``: ``should_stop`` asked for it, and the run is checkpointed, or another worker
        took it over, and nothing was written since.
        ``failed``: of a program, by its exit; a failure of ours is an exception.
    values : dict
        The journal's ``end`` event (empty for ``stopped``).
    """

    status: str
    values: dict[str, Any]

    @property
    def loss(self) -> float | None:
        """The final held-out loss; None when there is none."""
        return self.values.get("loss")
