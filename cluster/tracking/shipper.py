"""The shipper: one process per sweep that carries journals to the tracking store.

Training never waits for it: it runs beside the workers at the lowest priority, and what it
cannot deliver stays in the journals for ``scaling sync``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.status import SweepStatus, sweep_status
from cluster.tracking.address import address, marks
from cluster.tracking.notices import tell
from cluster.tracking.results import law_of, results
from cluster.tracking.rule import Rule
from cluster.work import claim, clean_up, holder, lease_dir
from scaling import read_any_spec
from scaling.base import Store, WorkError, describe, write_atomic
from scaling.run import (
    STATE,
    SupersededError,
    end,
    fold,
    last_epoch,
    read_rows,
    read_turns,
)
from scaling.tracking import (
    DeletedError,
    Tracker,
    TrackingError,
    UnsureError,
    colours,
    log_law,
    ship_many,
)
from scaling.world import os, subprocess, time

SHIP_SECONDS = 5.0
SLURM_SECONDS = 20.0  # a controller has others to serve
SHIP_SHARE = 50  # a pass takes at most one part in so many of a processor
LONGEST_SECONDS = 60.0
WISH = "wish"
SHIPPER_LOG = "shipper.log"

Connect = Callable[[str, str], Tracker]
"""From a store's address and an experiment's name to who writes there."""


@dataclass(frozen=True)
class Shipped:
    """What is in the tracking store.

    Attributes
    ----------
    complete, open : int
        Runs delivered to their end, and runs begun whose end is still to come.
    problem : str
        Why the rest could not be delivered; empty if all went well.
    again : int
        Those that had been shipped, were not there any more, or not whole, and were shipped again.
    deleted : int
        Runs that somebody deleted there, which they stay.
    """

    complete: int
    open: int
    problem: str = ""
    again: int = 0
    deleted: int = 0

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling sync --json`` prints."""
        return asdict(self)


def ship_sweep(
    name: str,
    *,
    root: str | None = None,
    tracking_uri: str | None = None,
    patience: float = 0.0,
    compare: bool = False,
    restore: bool = False,
) -> Shipped:
    """Carry to the tracking store whatever of a sweep is not there yet; safe to repeat.

    Waits ``patience`` seconds for another process that ships it. With ``compare`` the store is
    asked what it has; otherwise notes beside the runs tell what was shipped. What somebody deleted
    there comes back only with ``restore``.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    DeletedError
        If the experiment was deleted and is not to be restored.
    """
    store = Store.at(root)
    rows = read_rows(store, name)
    tracker = Tracker(address(store, name, tracking_uri), name, restore=restore)
    folder, until = _shipper_dir(store, tracker), time.monotonic() + patience
    lease = claim(folder)
    if lease is None:
        write_atomic(folder / WISH, "")  # the other's nap ends
    while lease is None:
        if time.monotonic() > until:
            return Shipped(0, 0, f"another process ships sweep {name!r} right now")
        time.sleep(0.5)
        lease = claim(folder)
    with lease:
        (folder / WISH).unlink(missing_ok=True)
        problem = _compare(tracker, rows) if compare else ""
        shipped = Shipped(0, 0, problem)
        if not problem:
            status = sweep_status(name, root, rows=rows)
            shipped = _ship(store, tracker, rows, status, set())
            _tell(store, tracker, rows, status, shipped)
        make_compact(store, tracker, rows)
    if (folder / WISH).exists():  # a shipper came meanwhile, and ended because this one was here
        start_shipper(store, name, tracker.uri)
    return shipped


def _compare(tracker: Tracker, rows: Sequence[Mapping[str, Any]]) -> str:
    """Ask the store what it has; why it does not answer, empty if it does."""
    try:
        tracker.compare(rows)
    except DeletedError:
        raise
    except TrackingError as error:
        return str(error)
    return ""


def _shipper_dir(store: Store, tracker: Tracker) -> Path:
    """The folder whose lease the one shipper of a sweep and a tracking store holds."""
    return store.sweep_dir(tracker.experiment) / "shipper" / tracker.key


@contextlib.contextmanager
def without_shippers(store: Store, name: str) -> Iterator[None]:
    """Keep everybody from shipping a sweep; one that does is let end, for it has nothing to do.

    Raises
    ------
    WorkError
        If one does not.
    """
    with contextlib.ExitStack() as stack:
        for folder in (store.sweep_dir(name) / "shipper").glob("*/"):
            until = time.monotonic() + LONGEST_SECONDS
            while (lease := claim(folder)) is None:
                write_atomic(folder / WISH, "")  # its nap ends
                if time.monotonic() > until:
                    raise WorkError(f"{holder(folder)} still ships sweep {name!r}: try again later")
                time.sleep(0.5)
            stack.enter_context(lease)
        yield


def start_shipper(store: Store, name: str, uri: str) -> subprocess.Popen[bytes]:
    """The sweep's shipper as a process of its own, which outlives this one."""
    log = store.sweep_dir(name) / SHIPPER_LOG  # which the shipper of an earlier one may write
    command = [
        sys.executable,
        "-m",
        "cluster.tracking",
        "--root",
        str(store.root),
        "--sweep",
        name,
    ]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},  # `ps` shows arguments to all
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def follow(
    name: str,
    *,
    root: str,
    tracking_uri: str,
    sleep: Callable[[float], None] = time.sleep,
    connect: Connect = Tracker,
) -> Shipped:
    """Ship a sweep while somebody works on it, and once more after the last has ended."""
    store, tracker, complete = Store.at(root), connect(tracking_uri, name), set[str]()
    status, rule = None, Rule(store)
    while True:
        began = time.process_time()
        rows = read_rows(store, name)
        status = sweep_status(name, root, rows=rows, before=status)
        tell(store, status)
        rule.look(status)
        shipped = _ship(store, tracker, rows, status, complete)
        if not status.is_live:
            _tell(store, tracker, rows, status, shipped)
            make_compact(store, tracker, rows)
            return shipped
        if status.problem and len(status.in_state("done", "diverged")) == len(rows):
            return shipped  # who works on it is not known, and there is nothing left to do
        spent = time.process_time() - began
        least = SLURM_SECONDS if status.is_on_slurm else SHIP_SECONDS
        sleep(min(max(least, SHIP_SHARE * spent), LONGEST_SECONDS))


def follow_alone(
    name: str, *, root: str, tracking_uri: str, connect: Connect = Tracker
) -> Shipped | None:
    """:func:`follow`, unless another process does; None then.

    That one learns by a file, the wish, that there is more to do: it was written before its
    lease was found held, and the other looks for it after it has given the lease back.
    """
    folder = _shipper_dir(Store.at(root), connect(tracking_uri, name))
    wish, shipped = folder / WISH, None

    def nap(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not wish.exists():
            time.sleep(0.5)
        wish.unlink(missing_ok=True)  # the look that follows sees all that it was written for

    write_atomic(wish, "")
    while wish.exists() and (lease := claim(folder)) is not None:
        with lease:
            wish.unlink(missing_ok=True)
            shipped = follow(name, root=root, tracking_uri=tracking_uri, sleep=nap, connect=connect)
    return shipped


def _ship(
    store: Store,
    tracker: Tracker,
    rows: list[dict[str, Any]],
    status: SweepStatus,
    complete: set[str],
) -> Shipped:
    """Ship every run that has something new; ``complete`` are those delivered before."""
    states = {run.run_id: run.state for run in status.runs}
    tracker.colours, tracker.marks = colours(rows), marks(store, tracker.experiment)
    unfinished, problem = 0, ""
    over, settled = ("done", "diverged", "failed"), complete | tracker.deleted
    ended = [row for row in rows if states[row["run_id"]] in over and row["run_id"] not in settled]
    try:
        ship_many(tracker, [(store.run_dir(row["run_id"]), row) for row in ended])
    except UnsureError as error:  # what was asked for may yet be done
        return Shipped(len(complete), 0, str(error), tracker.again, len(tracker.deleted))
    except TrackingError:
        pass  # the look at each run tells
    for row in rows:
        run_id = row["run_id"]
        if run_id in complete or run_id in tracker.deleted or states[run_id] == "planned":
            continue
        alive = states[run_id] in ("running", "queued", "pre-empted")
        try:
            delivered = tracker.ship(store.run_dir(run_id), row, alive=alive)
        except DeletedError:
            if run_id not in tracker.deleted:  # it is the experiment
                raise
            continue
        except TrackingError as error:
            problem = f"run {run_id}: {error}"
            if tracker.answers():
                continue
            problem = str(error)
            break
        if delivered and states[run_id] != "queued":
            complete.add(run_id)
        unfinished += delivered is False
    return Shipped(len(complete), unfinished, problem, tracker.again, len(tracker.deleted))


def _tell(
    store: Store,
    tracker: Tracker,
    rows: list[dict[str, Any]],
    status: SweepStatus,
    shipped: Shipped,
) -> None:
    """Put what came out into the experiment's note and charts; a store away gets it next time."""
    if shipped.problem or not shipped.complete:
        return
    with contextlib.suppress(TrackingError):
        said, law = {"Results": results(status, rows)}, law_of(store, status)
        tracker.tell({**said, "Law": law.text} if law else said)
        if law and law.is_known:
            log_law(tracker.uri, tracker.experiment, law.formula, law.line)


def make_compact(store: Store, tracker: Tracker, rows: Iterable[Mapping[str, Any]]) -> None:
    """Leave three files of each run that is done and was shipped, where nobody works on it."""
    for row in rows:
        run_dir = store.run_dir(row["run_id"])
        if not (run_dir / STATE).exists() or not tracker.is_delivered(run_dir):
            continue
        last = end(read_turns(run_dir))
        if last is None or last["status"] not in ("done", "diverged"):
            continue
        held = lease_dir(store, read_any_spec(row["spec"]), row["run_id"])
        with contextlib.suppress(OSError, SupersededError):
            lease = claim(held, "compact", after=last_epoch(run_dir))
            if lease is not None:
                try:
                    fold(run_dir, lease.epoch, lease.held)
                finally:
                    lease.release(remove=held == run_dir)


def main(argv: list[str] | None = None) -> int:
    """``python -m cluster.tracking``: follow one sweep; 1 if not all was delivered."""
    parser = argparse.ArgumentParser()
    for option in ("--root", "--sweep"):
        parser.add_argument(option, required=True)
    args = parser.parse_args(argv)
    uri = Store.at(args.root).tracking_uri  # what start_shipper put into the environment
    try:
        shipped = follow_alone(args.sweep, root=args.root, tracking_uri=uri)
        problem = shipped.problem if shipped else ""
    except (ValueError, OSError, DeletedError) as error:
        problem = describe(error)
    clean_up()  # what killed workers of this machine could not
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
