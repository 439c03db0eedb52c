"""ImportedRun: what is kept of a run that was trained elsewhere, and its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling.base import Store, read_json, write_atomic
from scaling.imported_spec import ImportedSpec
from scaling.run import JOURNAL, SPEC, STATE, write_journal


@dataclass(frozen=True)
class ImportedRun:
    """A run that was trained elsewhere, understood.

    Attributes
    ----------
    name : str
        What people call it; no part of identity.
    spec : ImportedSpec
    points : tuple of dict
        Its learning curve, as a journal has it: ``step`` in tokens (examples).
    reason : str
        The source's word for how it ended, where that says more than its status.
    born : float or None
        When it began (seconds since 1970).
    """

    name: str
    spec: ImportedSpec
    points: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    born: float | None = None


def keep(store: Store, run: ImportedRun) -> bool:
    """Write a run's folder: spec, state, and the journal last; False if it was there already."""
    run_dir, result = store.run_dir(run.spec.run_id), run.spec.result
    if read_json(run_dir / SPEC) != run.spec.to_dict():  # it may be counted otherwise now
        write_atomic(run_dir / SPEC, json.dumps(run.spec.to_dict(), indent=1))
    if (run_dir / (STATE if result["status"] == "planned" else JOURNAL)).exists():
        return False
    now = time.time()
    born = now if run.born is None else run.born
    ended = born + result["seconds"] if "seconds" in result else now
    said = {"reason": run.reason} if run.reason else {}
    last = run.points[-1] if run.points else {}
    state = {
        "state": result["status"],
        "imported": True,
        "step": result.get("tokens", last.get("step", 0)),
        "loss": result.get("loss", last.get("loss")),
        "seconds": result.get("seconds"),
        "time": ended,
        **said,
    }
    write_atomic(run_dir / STATE, json.dumps(state, indent=1))
    if result["status"] == "planned":
        return True
    events = [{"event": "start", "attempt": 1, "step": 0, "time": born}]
    events += [{"event": "point", **point} for point in run.points]
    if run.spec.is_finished:
        events.append({"event": "end", **result, **said, "time": ended})
    write_journal(run_dir, events)
    return True
