"""What the store is told of a run, as values: for a client's calls, or as rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.run import end
from scaling.schema import BUDGET
from scaling.tracking.values import (
    Known,
    Value,
    born_of,
    data_of,
    ended_at,
    known_before,
    metric_key,
    of_curve,
    of_end,
    of_system,
)
from scaling.tracking.view import COLOUR_TAG

OURS = "scaling.run_id"
"""The tag that our tracker puts on a run."""
PARAM_LENGTH = 6000
WHERE = ("host", "device", "card", "job")  # what a run's last start says of its place
# Others that ended are FINISHED; the list shows nothing else of a run that diverged.
_STATUS = {"failed": "FAILED", "diverged": "FAILED", "stopped": "KILLED"}


@dataclass(frozen=True)
class Content:
    """What a store does not have yet of a run.

    Attributes
    ----------
    values : tuple
        Of metrics: name, value, seconds since 1970, step.
    params, tags : mapping of str to str
    data : tuple of str or None
        Name and fingerprint of the data set, where that is to be said.
    status : str
        MLflow's word for the run's state.
    ended : int or None
        Milliseconds since 1970; None for a run without an end.
    """

    values: Sequence[Value]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    data: tuple[str, str] | None
    status: str
    ended: int | None


def new_tags(
    row: Mapping[str, Any], born: str, colours: Mapping[str, str], marks: Mapping[str, str]
) -> dict[str, str]:
    """The tags with which a run is made."""
    texts = {k: v for k, v in row.items() if isinstance(v, str) and k != "run_id"}
    tags = {
        "scaling.kind": "run",
        OURS: row["run_id"],
        "scaling.born": born,
        **{f"scaling.{key}": value for key, value in texts.items()},
        **marks,
    }
    if row.get(BUDGET):
        tags["scaling.budget"] = f"{row[BUDGET]:g}"
    if colour := colours.get(row["run_id"]):
        tags[COLOUR_TAG] = colour
    return tags


def content_of(
    row: Mapping[str, Any],
    events: list[dict[str, Any]],
    seen: int = -1,
    known: Known | None = None,
    alive: bool = False,
    sampled: int = -1,
) -> Content:
    """What a journal says after step ``seen``, and of what was known before if it is ``known``.

    Of the machine's samples those after second ``sampled``.
    """
    before, params = known_before(row, born_of(events)) if known is None else known
    samples = (value for value in of_system(events) if value[3] > sampled)
    values = [*before, *samples, *of_curve(events, seen)]
    last = end(events)
    status = str(last["status"]) if last else ("running" if alive else "stopped")
    tags = {"scaling.status": status}
    for begun in (event for event in events if event["event"] == "start"):
        tags |= {f"scaling.{key}": str(begun[key]) for key in WHERE if begun.get(key)}
    if last:
        values += of_end(row, events, last)
        if last.get("reason"):
            tags["scaling.reason"] = str(last["reason"])
    return Content(
        [(metric_key(key), *rest) for key, *rest in values],  # type: ignore[misc]
        {metric_key(key): value[:PARAM_LENGTH] for key, value in params.items()},
        tags,
        data_of(row) if params else None,
        _STATUS.get(status, "FINISHED") if last else ("RUNNING" if alive else "KILLED"),
        round(1000 * ended_at(events, last)) if last else None,
    )
