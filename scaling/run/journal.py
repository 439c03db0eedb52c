"""The journal of a run: append-only ``metrics.jsonl``, the truth that all else is made from.

Each line is one JSON object with an ``event``:

``start``   attempt, time, host, device, threads
``point``   step (tokens or examples seen), loss, train_loss, lr, seconds; of a program's reports
            ``program/NAME`` too
``end``     status (done, diverged, failed), final values, reason
``kept``    step, file and its SHA-256: weights that last
``stalled`` reason, host, attempt_of: its worker made no step any more and was killed
``state``   the last state and what was shipped, folded in (``folded.py``)
``system``  time, and what the machine did (``monitor.py``)
``eval``    step, task, and numbers by column: what kept weights are worth elsewhere

A line that a crash left unfinished is ended and ignored; a resumed run appends only points that
are not there yet, and they equal, bit for bit, what the undisturbed run would have written. As a
checkpoint has the curve up to it, that mends lines that were damaged since too; those that no
attempt came after are counted by :func:`damaged_lines`.

Lines also carry the ``epoch`` of the lease that their writer held. Once a later epoch has
written, lines of earlier ones that come after are those of a zombie (a worker that was taken
for dead) and are not read: it may wake up at any moment and change nothing. This needs no
locks, only that each append goes to the end of the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling.base import write_atomic
from scaling.run.archive import archived
from scaling.schema import EVAL_PREFIX
from scaling.world import os

JOURNAL = "metrics.jsonl"
STATE = "state.json"
SPEC = "spec.json"
LATEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
PROGRAM_METRIC = "program/"  # begins the names of what only the program of a run reports
BEGIN = "begin"  # the line that :func:`begin_anew` leaves; readers do not see it


class SupersededError(RuntimeError):
    """Another worker took this run over; what this one still has to say is of no value."""


def read_journal(run_dir: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's journal, oldest first; none when there is no journal."""
    return [event for _, event in _read(run_dir) if event["event"] != BEGIN]


def read_turns(run_dir: Path) -> list[dict[str, Any]]:
    """A journal without its points and samples of the machine, several times faster than all of it.

    Each attempt begins with its ``start``, so what is skipped decides nothing.
    """
    return [event for _, event in _read(run_dir, skip=_MANY) if event["event"] != BEGIN]


_EVENT, _START = b'{"event": ', b'{"event": "start"'


def damaged_lines(run_dir: Path) -> int:
    """Lines of a journal that say nothing, after its last ``start``; 0 for one that is whole.

    What was damaged before has been made good by that attempt, and a line without an end may
    still be written.
    """
    try:
        data = (run_dir / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    # Lines that begin and end as they should are not parsed: status asks this of every run.
    count, begun = data.count(b"\n"), data.count(b"\n" + _EVENT)
    begins = data.startswith(_EVENT) and data.count(_EVENT) == begun + 1 and begun >= count - 1
    if not data or (begins and data.count(b"}\n") == count and b"\0" not in data):
        return 0
    lines = data.split(b"\n")[:-1]
    starts = (i for i, line in enumerate(lines) if line.startswith(_START) and _is_event(line))
    return sum(not _is_event(line) for line in lines[max(starts, default=-1) + 1 :] if line)


def _is_event(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and "event" in value


def last_epoch(run_dir: Path) -> int:
    """The epoch of the newest writer; 0 if there is none or it held no lease."""
    return max((epoch for epoch, _ in _read(run_dir)), default=0)


def first_epoch(run_dir: Path) -> int:
    """The epoch in which the run was last begun anew; what is of earlier ones does not count."""
    begun = [epoch for epoch, event in _read(run_dir) if event["event"] == BEGIN]
    return max(begun, default=0)


def begin_anew(run_dir: Path, epoch: int) -> None:
    """Throw away a run's journal; writers of epochs before ``epoch`` are heard no more."""
    write_atomic(run_dir / JOURNAL, json.dumps({"event": BEGIN, "epoch": epoch}) + "\n")


def write_journal(run_dir: Path, events: Iterable[Mapping[str, Any]]) -> None:
    """The journal of a run that is known from its beginning to its end, in one step."""
    lines = [json.dumps({k: _text(v) for k, v in event.items()}) + "\n" for event in events]
    write_atomic(run_dir / JOURNAL, "".join(lines))


def journal_bytes(run_dir: Path) -> bytes:
    """A run's journal as it is written, in its folder or in an archive; empty without any."""
    try:
        return (run_dir / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return archived(run_dir, JOURNAL) or b""


_MANY = b'{"event": "point"', b'{"event": "system"'


def _read(run_dir: Path, skip: tuple[bytes, ...] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Epoch and event of every line that counts and does not begin with ``skip``."""
    data = journal_bytes(run_dir)
    newest = 0
    for line in data.split(b"\n"):
        if line.startswith(skip):
            continue
        found = event_of(line)
        if found is not None and found[0] >= newest:
            newest = found[0]
            yield found


def event_of(line: bytes) -> tuple[int, dict[str, Any]] | None:
    """Epoch and event of a line; None for one that says nothing."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or "event" not in event:
        return None
    return event.pop("epoch", 0), {k: _number(v) for k, v in event.items()}


def points(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points of the learning curve, by step, each step once."""
    by_step = {event["step"]: event for event in events if event["event"] == "point"}
    return [by_step[step] for step in sorted(by_step)]


def end(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last ``end`` event if nothing was started after it, else None."""
    last = next((e for e in reversed(events) if e["event"] in ("start", "end")), None)
    return last if last is not None and last["event"] == "end" else None


def evaluations(events: list[dict[str, Any]]) -> dict[str, float]:
    """What a run's weights at its end were found to be worth, by column, the newest of each."""
    last = end(events)
    found: dict[str, float] = {}
    for event in events:
        if event["event"] == "eval" and last is not None and event["step"] == last["tokens"]:
            found |= {key: value for key, value in event.items() if key.startswith(EVAL_PREFIX)}
    return found


def has_result(run_dir: Path) -> bool:
    """Whether a run is done or has diverged, so that nobody has to do it again."""
    last = end(read_turns(run_dir))
    return last is not None and last["status"] in ("done", "diverged")


class Journal:
    """Appends events to a run's journal, each in one write, flushed to disk.

    Parameters
    ----------
    run_dir : Path
    epoch : int, optional
        That of the lease under which it is written; by default the newest one's.
    held : callable, optional
        Whether the lease is still held; asked before each write.

    Raises
    ------
    SupersededError
        If a later epoch has written already.
    """

    def __init__(
        self,
        run_dir: Path,
        epoch: int | None = None,
        held: Callable[[], bool] = lambda: True,
    ) -> None:
        self.held, self.run_dir, self._file = held, run_dir, -1
        self.check()
        run_dir.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._file = os.open(run_dir / JOURNAL, flags, 0o666)  # less the user's umask
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")
        newest = last_epoch(run_dir)
        self.epoch = newest if epoch is None else epoch
        if self.epoch < newest:
            os.close(self._file)
            raise SupersededError(f"{run_dir}: epoch {newest} has written, this is {epoch}")
        self._written = {p["step"]: _result(p) for p in points(read_journal(run_dir))}

    def check(self) -> None:
        """Refuse to go on without the lease, or in a journal that nobody will read.

        Raises
        ------
        SupersededError
            If another worker has it, or the journal was removed.
        """
        if not self.held():
            raise SupersededError("another worker took this run over: it is in its hands")
        if self._file >= 0 and os.fstat(self._file).st_nlink == 0:
            raise SupersededError("the run's journal was removed: what it says now is lost")

    def append(self, event: str, **values: Any) -> None:
        """Write one event; a ``point`` that is there already, to the bit, is left out.

        Raises
        ------
        SupersededError
            If another worker took over.
        OSError
            If the disk is full.
        """
        self.check()
        record = {"event": event, **{k: _text(v) for k, v in values.items()}}
        if event == "point":
            if self._written.get(values["step"]) == _result(record):
                return
            self._written[values["step"]] = _result(record)
        if self.epoch:
            record["epoch"] = self.epoch
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(28, "No space left on device", str(JOURNAL))
        os.fsync(self._file)
        self._check_line(line)
        if event == "end" and last_epoch(self.run_dir) > self.epoch:
            # A node that stood still, clock and all, does not know that it lost the lease.
            raise SupersededError("another worker took this run over: its end is to come")

    def _check_line(self, line: bytes) -> None:
        """Write a line again if it does not stand there by itself.

        Without locks a network file system may put two lines that are appended at the same
        moment on two machines into one place. And a writer that was killed, or whose disk was
        full, may have left a line without its end just before this one.
        """
        start = max(0, os.fstat(self._file).st_size - 64 * len(line))
        tail = os.pread(self._file, 65 * len(line), start)
        if b"\n" + line not in (tail if start else b"\n" + tail):
            os.write(self._file, b"\n" + line)
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def checkpoint_names(epoch: int) -> tuple[str, str]:
    """The files of an epoch's newest checkpoint and of the one before it."""
    if not epoch:
        return LATEST, PREVIOUS
    return f"checkpoint.{epoch:06d}.pt", f"checkpoint.{epoch:06d}.previous.pt"


def checkpoints(run_dir: Path, first: int = 0) -> list[Path]:
    """A run's checkpoints of epoch ``first`` or later, newest first.

    The name has the epoch of the writer, so that a zombie writes only over its own.
    """
    found = [path for path in run_dir.glob("checkpoint*.pt") if checkpoint_epoch(path) >= first]

    def age(path: Path) -> tuple[int, bool]:
        return checkpoint_epoch(path), not path.stem.endswith(".previous")

    return sorted(found, key=age, reverse=True)


def checkpoint_epoch(path: Path) -> int:
    """The epoch of a checkpoint's writer."""
    number = path.name.split(".")[1]
    return int(number) if number.isdigit() else 0


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _result(point: dict[str, Any]) -> tuple[str, str]:
    """What two workers must agree on at a step; as text, so that NaN equals NaN."""
    return repr(_number(point.get("loss"))), repr(_number(point.get("train_loss")))


def _text(value: Any) -> Any:
    """Non-finite floats as strings: strict JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _number(value: Any) -> Any:
    return _SPECIAL.get(value, value) if isinstance(value, str) else value
