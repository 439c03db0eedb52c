"""Many runs that ended and are not in the store yet, brought there at once.

Whatever is left out here, for any reason, is left to :meth:`Tracker.ship`, run by run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.run import JOURNAL, end, read_journal
from scaling.tracking.content import OURS, content_of, new_tags
from scaling.tracking.errors import DeletedError
from scaling.tracking.ready import reported, sent_once, sqlite_path
from scaling.tracking.remote import Remote, takes_many
from scaling.tracking.tables import NewRun, Tables
from scaling.tracking.tracker import Tracker
from scaling.tracking.values import born_of, data_of, start_of

LEAST = 8  # runs for which this is worth while
AT_ONCE = 100
TRIES = 3
# A server of several processes may answer each request 40 ms late (`cluster/tracking/prompt.py`):
# by four connections no more than 17 runs a second would go there, whatever it can do.
CONNECTIONS = 8

Line = tuple[Path, Mapping[str, Any]]
"""A run's folder and its line in the sweep's file."""
Of = Callable[[str, str, str], contextlib.AbstractContextManager[Tables | Remote]]
"""By a store's address, MLflow's ids of an experiment and of a run in it."""


@dataclass(frozen=True)
class Ended:
    """A run that ended, with its journal of ``size`` bytes."""

    run_dir: Path
    row: Mapping[str, Any]
    events: list[dict[str, Any]]
    size: int

    def new(self, tracker: Tracker) -> NewRun:
        """As rows of tables need it."""
        born = born_of(self.events)
        tags = new_tags(self.row, born, tracker.colours, tracker.marks)
        content = content_of(self.row, self.events)
        return NewRun(self.row["run_id"], self.row["name"], start_of(born), tags, content)


def ship_many(tracker: Tracker, lines: Sequence[Line]) -> None:
    """Bring those of the runs into the store that ended and that it lacks.

    A SQLite store gets a hundred in a transaction, straight into its tables, once a run that
    MLflow's own client wrote was found to be what would be written; a ``scaling server`` does the
    same with a hundred in a request. Of another server runs are asked over several connections.
    Killed at any point it has noted what it shipped, or the next look finds it in the store:
    nothing is lost, nothing doubled.

    Raises
    ------
    TrackingError
        If the store does not answer.
    UnsureError
        If a request for many was not answered; only the same request may follow.
    """
    fresh = [line for line in lines if tracker.lacks(line[0])]
    if len(fresh) < LEAST:
        return
    if sqlite_path(tracker.uri):
        _write(tracker, fresh, Tables.of)
        return
    if takes_many(tracker.uri):
        _write(tracker, fresh, Remote.of)
        fresh = [line for line in fresh if tracker.lacks(line[0])]
    for part in _parts(fresh):
        _send(tracker, part)


def _parts(lines: Sequence[Line]) -> Iterator[list[Ended]]:
    """Those that ended, a hundred at a time."""
    for first in range(0, len(lines), AT_ONCE):
        yield [ended for line in lines[first : first + AT_ONCE] if (ended := _ended(*line))]


def _ended(run_dir: Path, row: Mapping[str, Any]) -> Ended | None:
    try:
        size = (run_dir / JOURNAL).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    events = read_journal(run_dir)
    return Ended(run_dir, row, events, size) if end(events) else None


def _write(tracker: Tracker, fresh: Sequence[Line], of: Of) -> None:
    """Into tables, here or where a server is."""
    for tried, line in enumerate(fresh[:TRIES], 1):
        example = _ended(*line)
        if example is None:
            continue
        with contextlib.suppress(DeletedError):
            tracker.ship(example.run_dir, example.row, alive=False)
        like = tracker.noted_id(example.run_dir)
        with of(tracker.uri, tracker.experiment_id, like) as tables, reported(tracker.uri):
            if not tables.agrees(example.new(tracker)):
                continue
            for part in _parts(fresh[tried:]):
                made = tables.add([ended.new(tracker) for ended in part])
                for ended in part:
                    if run_id := made.get(ended.row["run_id"]):
                        tracker.note(ended.run_dir, run_id, ended.events, ended.size)
            return


def _send(tracker: Tracker, part: Sequence[Ended]) -> None:
    """To a server, over several connections."""
    starts = [start_of(born_of(ended.events)) for ended in part]
    if not starts:
        return

    def make(ended: Ended) -> tuple[Ended, str]:
        run_id = tracker.create(ended.row, born_of(ended.events))
        tracker.send(run_id, content_of(ended.row, ended.events))
        return ended, run_id

    def note(ended: Ended, run_id: str) -> None:
        tracker.note(ended.run_dir, run_id, ended.events, ended.size)

    # A create whose answer is lost is not repeated here: the next look finds what it made.
    with reported(tracker.uri), sent_once():
        between = (
            f"attributes.start_time >= {min(starts)} and attributes.start_time <= {max(starts)}"
        )
        found = tracker.search(between, deleted=True)
        there = {run.data.tags.get(OURS) for run in found}
        new = [ended for ended in part if ended.row["run_id"] not in there]
        # Of each data set one first: two that make it at once are one too many for MLflow.
        heads = {data_of(ended.row): ended for ended in reversed(new)}
        for ended in heads.values():
            note(*make(ended))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            rest = [ended for ended in new if heads[data_of(ended.row)] is not ended]
            sent = [pool.submit(make, ended) for ended in rest]
            wait(sent, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
        tried = [future for future in sent if not future.cancelled()]
        errors = [error for future in tried if (error := future.exception())]
        for future in tried:
            if not future.exception():
                note(*future.result())
        if errors:
            raise errors[0]
