"""A run as a tracking store has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run

History = list[tuple[int, float]]
"""Step and value, in the order in which they came."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What a tracking store says of a run.

    Attributes
    ----------
    run_id, name, status : str
        The store's id, the run's name, MLflow's word for its state (``FINISHED``, ...).
    start_time, end_time : int or None
        Milliseconds since 1970.
    tags, params : mapping of str to str
    metrics : mapping of str to float
        The last value of each.
    """

    run_id: str
    name: str
    status: str
    start_time: int | None
    end_time: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, run: Run) -> StoredRun:
        """Of MLflow's own record."""
        info, data = run.info, run.data
        times = info.start_time, info.end_time
        return cls(
            str(info.run_id), str(info.run_name), str(info.status), *times,
            data.tags, data.params, data.metrics,
        )  # fmt: skip
