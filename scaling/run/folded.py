"""A run that is over, in fewer files: its last state and what was shipped in a line of its journal.

What is left of a folder is ``spec.json``, ``metrics.jsonl`` and ``log.txt`` (and weights that are
kept). :func:`unfold` makes the files again, for who begins the run anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scaling.base import read_json, write_atomic
from scaling.run.archive import archived
from scaling.run.journal import JOURNAL, STATE, Journal, journal_bytes

NOTES = "shipped-*.json"  # what each tracking store has of a run
_LINE = b'{"event": "state"'


def fold(run_dir: Path, epoch: int, held: Callable[[], bool]) -> bool:
    """Fold the state and the notes of a run that is over; whether there was something to fold.

    The caller holds the run's lease, of this epoch, and has looked that its end was shipped.
    """
    state = read_json(run_dir / STATE)
    notes = {path.name: read_json(path) for path in sorted(run_dir.glob(NOTES))}
    if state is None or state.get("imported"):
        return False
    journal = Journal(run_dir, epoch, held)
    try:
        journal.append("state", values=state, notes=notes)
    finally:
        journal.close()
    for name in (STATE, *notes):
        (run_dir / name).unlink(missing_ok=True)
    return True


def unfold(run_dir: Path) -> None:
    """Make the files again that :func:`fold` took away; the caller holds the run's lease."""
    found = _found(run_dir)
    if found is None:
        return
    event, start, end, data = found
    write_atomic(run_dir / STATE, json.dumps(event["values"], indent=1))
    for name, note in event["notes"].items():
        write_atomic(run_dir / name, json.dumps(note))
    write_atomic(run_dir / JOURNAL, (data[:start] + data[end:]).decode())


def state_of(run_dir: Path) -> dict[str, Any]:
    """The last that a run said of itself; empty where it said nothing."""
    state = read_json(run_dir / STATE)
    if state is not None:
        return state
    if told := archived(run_dir, STATE):
        return dict(json.loads(told))
    found = _found(run_dir)
    return dict(found[0]["values"]) if found else {}


def note_of(run_dir: Path, name: str) -> Mapping[str, Any]:
    """What a tracking store has of a run, by the note of that name; empty where there is none.

    Its ``size`` is that of the journal with the line into which the note was folded.
    """
    note = read_json(run_dir / name)
    if note is not None:
        return note
    found = _found(run_dir)
    if found is None or name not in found[0]["notes"]:
        return {}
    event, start, end, _ = found
    told: dict[str, Any] = dict(event["notes"][name])
    return {**told, "size": end} if told.get("size") == start else told


def _found(run_dir: Path) -> tuple[dict[str, Any], int, int, bytes] | None:
    """The newest folded line: its event, where it begins and ends, and the whole journal."""
    data = journal_bytes(run_dir)
    start = data.rfind(b"\n" + _LINE) + 1
    end = data.find(b"\n", start) + 1
    if not start or not end:
        return None
    try:
        event = json.loads(data[start:end])
    except ValueError:
        return None
    return event, start, end, data
