"""The journal of a run: append-only ``metrics.jsonl``, the truth that all else is made from.

Each line is one JSON object with an ``event``:

``start``   attempt, time, host, device, threads
``point``   step (tokens or examples seen), loss, train_loss, lr, seconds
``end``     status (done, diverged, failed), final values, reason

A line that a crash left unfinished is ended and ignored; a resumed run appends only points that
lie past the last one, and they equal, bit for bit, what the undisturbed run would have written.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

JOURNAL = "metrics.jsonl"
STATE = "state.json"
SPEC = "spec.json"
LATEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def read_journal(run_dir: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's journal, oldest first; none when there is no journal."""
    try:
        data = (run_dir / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    events = []
    for line in data.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append({k: _number(v) for k, v in event.items()})
    return events


def points(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points of the learning curve, by step, each step once."""
    by_step = {event["step"]: event for event in events if event["event"] == "point"}
    return [by_step[step] for step in sorted(by_step)]


def end(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last ``end`` event if nothing was started after it, else None."""
    last = next((e for e in reversed(events) if e["event"] in ("start", "end")), None)
    return last if last is not None and last["event"] == "end" else None


class Journal:
    """Appends events to a run's journal, each in one write, flushed to disk."""

    def __init__(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._file = os.open(run_dir / JOURNAL, flags, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")
        written = points(read_journal(run_dir))
        self.last_step: int = written[-1]["step"] if written else -1

    def append(self, event: str, **values: Any) -> None:
        """Write one event; a ``point`` at or before the last written step is left out."""
        if event == "point":
            if values["step"] <= self.last_step:
                return
            self.last_step = values["step"]
        record = {"event": event, **{k: _text(v) for k, v in values.items()}}
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(28, "No space left on device", str(JOURNAL))
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _text(value: Any) -> Any:
    """Non-finite floats as strings: strict JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _number(value: Any) -> Any:
    return _SPECIAL.get(value, value) if isinstance(value, str) else value
