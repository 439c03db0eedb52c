"""What a worker does: it takes task after task of a submission until nothing is left to do."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from cluster.lease import Lease, claim
from cluster.queue import Queue
from cluster.resources import Resources
from cluster.status import read_rows
from cluster.tasks import lease_dir
from scaling.errors import is_full
from scaling.journal import LATEST, Journal, end, read_journal
from scaling.spec import RunSpec
from scaling.store import Store

LOG = "log.txt"
LOOK_SECONDS = 2.0  # between looks at tasks that other workers hold
# Workers that one run may take with it, without a checkpoint between, before it counts as failed.
MAX_DEATHS = 3

Stop = Callable[[], bool]


def work(
    root: str,
    sweep: str,
    queue_path: str,
    resources: Resources,
    environment: Mapping[str, str | None],
) -> int:
    """Work on a submission as a job of its own; the number of runs done here.

    Parameters
    ----------
    root, sweep, queue_path : str
        The store, the sweep's name and the submission's file.
    resources : Resources
    environment : dict
        Variables to set, or to unset where None, before torch is loaded.
    """
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as stop:
        queue = Queue.read(Path(queue_path))
        return run_queue(Store.at(root), sweep, queue, resources, stop, capture=True)


@contextlib.contextmanager
def stop_on_signals(*signals: signal.Signals) -> Iterator[Stop]:
    """Turn the first of ``signals`` into a wish to stop; a second SIGINT interrupts at once.

    Outside the main thread signals cannot be caught, and nothing is ever asked to stop.
    """
    wish = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if wish.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        wish.set()

    if threading.current_thread() is not threading.main_thread():
        yield wish.is_set
        return
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield wish.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_queue(
    store: Store,
    sweep: str,
    queue: Queue,
    resources: Resources,
    stop: Stop,
    *,
    capture: bool = False,
) -> int:
    """Do what is open in ``queue``; the number of runs that ended here.

    Tasks that another worker holds are looked at again until they are done, so that a worker
    that dies loses nothing. With ``capture``, what runs print goes to their logs.

    Raises
    ------
    OSError
        If a run's folder cannot be written; a full disk ends the worker, not only the run.
    """
    rows = {row["run_id"]: row for row in read_rows(store, sweep)}
    deadline = time.monotonic() + 60 * resources.minutes if resources.minutes else None
    tasks = list(queue.tasks)
    count = 0

    def stopping() -> bool:
        return stop() or (deadline is not None and time.monotonic() > deadline)

    while tasks and not stopping():
        held = []
        for task in tasks:
            if stopping():
                break
            ready = [run_id for run_id in task if queue.is_open(store, run_id)]
            if not ready:
                continue
            spec = RunSpec.from_dict(rows[ready[0]]["spec"])
            purpose = f"{queue.path.stem} {ready[0]} {_progress(store.run_dir(ready[0]))}"
            lease = claim(lease_dir(store, spec, ready[0]), purpose)
            if lease is None:
                held.append(task)
                continue
            with lease:
                train_one = partial(run_one, store, resources=resources, capture=capture)
                count += _run_task(store, queue, task, rows, lease, stopping, train_one)
            if any(queue.is_open(store, run_id) for run_id in task):
                held.append(task)
        tasks = held
        if tasks and not stopping():
            _wait(LOOK_SECONDS, stopping)
    return count


def _progress(run_dir: Path) -> int:
    """When the run was last checkpointed, in ns; 0 for never."""
    try:
        return (run_dir / LATEST).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _wait(seconds: float, stop: Stop) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(0.2)


def _run_task(
    store: Store,
    queue: Queue,
    task: tuple[str, ...],
    rows: Mapping[str, Mapping[str, Any]],
    lease: Lease,
    stop: Stop,
    train_one: Callable[..., str],
) -> int:
    count = 0
    for run_id in task:
        if stop() or lease.lost:
            break
        if not queue.is_open(store, run_id):
            continue
        run_dir = store.run_dir(run_id)
        if lease.after_death >= MAX_DEATHS and count == 0:
            status = _give_up(run_dir, lease.after_death)
        else:
            spec = RunSpec.from_dict(rows[run_id]["spec"])
            status = train_one(spec, run_id, stop=lambda: stop() or lease.lost)
        count += status != "stopped"
    return count


def run_one(
    store: Store,
    spec: RunSpec,
    run_id: str,
    *,
    resources: Resources,
    stop: Stop,
    capture: bool = False,
) -> str:
    """Train one run; its status. The traceback of a failure is in its log.

    With ``capture``, so is whatever it prints.

    Raises
    ------
    OSError
        If its folder cannot be written or the disk is full.
    """
    run_dir = store.run_dir(run_id)
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOG).open("a", encoding="utf-8", buffering=1) as log:
        print(f"{_now()} begin {run_id} in process {os.getpid()}", file=log)
        try:
            with _printing_to(log) if capture else contextlib.nullcontext():
                from scaling.training import train

                outcome = train(
                    spec,
                    run_dir,
                    trunk_dir=store.trunk_dir(spec.trunk_id) if spec.trunk_id else None,
                    device=resources.device,
                    threads=resources.threads,
                    checkpoint_seconds=resources.checkpoint_seconds,
                    should_stop=stop,
                )
            status = outcome.status
        except Exception as error:
            traceback.print_exc(file=log)
            last = end(read_journal(run_dir))
            if is_full(error) or last is None or last["status"] != "failed":
                raise
            status = "failed"
        print(f"{_now()} {status}", file=log)
    return status


@contextlib.contextmanager
def _printing_to(log: TextIO) -> Iterator[None]:
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


def _give_up(run_dir: Path, deaths: int) -> str:
    """Record as failed a run whose workers died one after another."""
    reason = f"{deaths} workers died doing this run (killed? out of memory?): see its log"
    journal = Journal(run_dir)
    try:
        journal.append("end", status="failed", reason=reason, time=time.time())
    finally:
        journal.close()
    return "failed"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def log_tail(path: Path, lines: int) -> str:
    """The last ``lines`` lines of a log; empty if there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def last_words(folder: Path, job_id: str) -> str:
    """The last line that a job wrote to its error log."""
    tail = log_tail(folder / f"{job_id}_0_log.err", 1)
    return tail.strip() or "no last words"
