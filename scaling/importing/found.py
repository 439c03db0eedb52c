"""FoundRun: one run as a source holds it, before anybody says what its columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.schema import normalise

Record = Mapping[str, Any]
Flat = dict[str, Any]

_STATES = {
    "done": ("finished", "done", "completed", "complete", "success", "succeeded"),
    "failed": ("failed", "crashed", "error"),
    "stopped": ("killed", "stopped", "cancelled", "canceled", "aborted"),
    "running": ("running", "preempting", "preempted"),
    "planned": ("pending", "scheduled", "queued", "planned"),
    "diverged": ("diverged",),
}
STATES = {word: state for state, words in _STATES.items() for word in words}
"""The words of W&B, MLflow and others for what is ``done``, ``failed``, ``stopped``, ..."""
STEPS = ("step", "globalstep", "trainerglobalstep", "iteration", "iter", "it")


@dataclass(frozen=True)
class FoundRun:
    """One run as its source holds it.

    Attributes
    ----------
    source : str
        See :class:`scaling.imported_spec.ImportedSpec`.
    run, name : str
        Its id, and what people call it.
    place : str
        Where it stands, for messages.
    state : str
        The source's word for how it ended; empty where it has none.
    options, final : dict
        What it was asked to do, and its last values; flat.
    history : sequence of dict
        Its records, oldest first; each flat, with a step or a number of tokens.
    seconds, born : float or None
        How long it took, and when it began (seconds since 1970).
    """

    source: str
    run: str
    name: str
    place: str
    state: str = ""
    options: Record = field(default_factory=dict)
    final: Record = field(default_factory=dict)
    history: Sequence[Record] = ()
    seconds: float | None = None
    born: float | None = None


def flat(value: Mapping[str, Any], prefix: str = "") -> Flat:
    """Nested values under dotted names; what is private to a library (``_wandb``) is left out."""
    found: Flat = {}
    for key, item in value.items():
        if prefix == "" and str(key).startswith("_wandb"):
            continue
        if isinstance(item, Mapping):
            found.update(flat(item, f"{prefix}{key}."))
        elif item is not None and item != "":
            found[f"{prefix}{key}"] = item
    return found


def unwrapped(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of W&B's without the ``{"desc": ..., "value": ...}`` around each value."""
    return {
        name: value["value"]
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"desc", "value"}
        else value
        for name, value in config.items()
    }


def step_name(names: Iterable[str]) -> str | None:
    """The member of ``names`` that is the source's own step."""
    by_form = {normalise(name): name for name in names}
    return next((by_form[form] for form in STEPS if form in by_form), None)
