"""What a worker does: it takes task after task of a submission until nothing is left to do."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from cluster.work.causes import out_of_memory
from cluster.work.early import settle
from cluster.work.lease import Lease, claim, is_silent
from cluster.work.logs import job_log
from cluster.work.monitored import monitored
from cluster.work.search import Search
from cluster.work.shift import Pace, Shift, Turn, fits, shift_of
from cluster.work.stalled import last_stall, stalled_here
from cluster.work.submission import Queue
from cluster.work.tasks import lease_dir
from cluster.work.together import Company
from cluster.work.trunks import tidy
from scaling import ProgramSpec, Spec, read_spec
from scaling import train as train_alone
from scaling.base import Store, is_full, read_json
from scaling.programs import Means, code_folder
from scaling.run import (
    LOG,
    NOTHING,
    STATE,
    Journal,
    Keep,
    checkpoints,
    end,
    last_epoch,
    read_journal,
    read_rows,
    read_turns,
    slurm_job,
)
from scaling.world import os, signal, threading, time
from sweeps import Resources

LOOK_SECONDS = 2.0  # between looks at tasks that other workers hold
SEARCH_SECONDS = 0.5  # where one of them may bring a search on
# Workers that one run may take with it, without a checkpoint between, before it counts as failed.
MAX_DEATHS = 3

Stop = Callable[[], bool]
Train = Callable[..., Any]


@contextlib.contextmanager
def stop_on_signals(*signals: signal.Signals) -> Iterator[Stop]:
    """Turn the first of ``signals`` into a wish to stop; a second SIGINT interrupts at once.

    Outside the main thread signals cannot be caught, and nothing is ever asked to stop.
    """
    wish = False  # no threading.Event: a signal within another's handler would wait for its lock

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal wish
        if wish and number == signal.SIGINT:
            raise KeyboardInterrupt
        wish = True

    def stop() -> bool:
        return wish

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield stop
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
    shift: Shift | None = None,
    train: Train | None = None,
    hold: Stop = lambda: False,
) -> Turn:
    """Do what is open in ``queue``, the longest first of what the time allows.

    Tasks that another worker holds are looked at again until they are done, so that a worker
    that dies loses nothing. With ``capture``, what runs print goes to their logs; ``train``
    takes the place of :func:`scaling.train`. As long as ``hold`` says so no run is begun.

    Raises
    ------
    OSError
        If a run's folder cannot be written; a full disk ends the worker, not only the run.
    """
    rows = {row["run_id"]: row for row in read_rows(store, sweep)}
    shift = shift or shift_of(resources)
    tasks = list(queue.tasks) if shift.task is None else [queue.tasks[shift.task]]
    pace, count, too_long, idle_since = Pace(), 0, False, time.monotonic()
    company = Company(store, queue, rows, resources, partial(_claim, store, queue, rows))
    is_cancelled = _now_and_then(lambda: queue.is_stopped)

    def stopping() -> bool:
        over = shift.until is not None and time.time() > shift.until
        return stop() or over or is_cancelled()

    search = _search(store, sweep, queue, shift)
    while (tasks or search) and not stopping():
        held, too_long, hanging = [], False, 0
        for i, task in enumerate(tasks):
            if stopping():
                break
            if hold():
                held += tasks[i:]
                break
            ready = [run_id for run_id in task if queue.is_open(store, run_id)]
            if not ready:
                continue
            if shift.until and not fits(pace.seconds(store, ready, rows), shift):
                held.append(task)
                too_long = True
                continue
            if shift.task is None and stalled_here(read_turns(store.run_dir(ready[0]))):
                held.append(task)
                hanging += 1
                continue
            lease = _claim(store, queue, rows, task, ready[0])
            if lease is None:
                held.append(task)
                continue
            with contextlib.ExitStack() as leases:
                leases.enter_context(lease)
                alone = [(task, lease)]
                if resources.ensemble > 1:
                    group = company.beside(task, lease, tasks[i + 1 :])
                    for _, another in group[1:]:
                        leases.enter_context(another)
                    if len(group) > 1:
                        stop_of = partial(_stop_of, queue, stop=stopping)
                        done, alone = company.train(group, stop_of, stopping)
                        count += done
                        for own, its_lease in group:
                            settle(store, queue, own, its_lease)
                for own, its_lease in alone:
                    train_one = partial(
                        run_one,
                        store,
                        resources=resources,
                        lease=its_lease,
                        capture=capture,
                        train=train,
                        keep=queue.keep,
                    )
                    count += _run_task(store, queue, own, rows, its_lease, stopping, train_one)
            pace.learn(store.run_dir(ready[0]))
            idle_since = time.monotonic()
            if any(queue.is_open(store, run_id) for run_id in task):
                held.append(task)
        tasks = held
        if search and not (too_long or stopping() or hold()):
            if new := search.look(held):
                tasks = [*held, *new]
                rows.update((row["run_id"], row) for row in read_rows(store, sweep))
                continue
            search = None if search.is_over else search
        if (tasks or search) and not stopping():
            idle = time.monotonic() - idle_since
            lingered = shift.linger_seconds is not None and idle > shift.linger_seconds
            if too_long or (lingered and not any(_is_silent(store, rows, task) for task in tasks)):
                break
            if tasks and hanging == len(tasks):  # for another job, or another try of this one
                break
            _wait(SEARCH_SECONDS if search else LOOK_SECONDS, stopping)
    return Turn(count, too_long or (shift.until is not None and time.time() > shift.until))


def _search(store: Store, sweep: str, queue: Queue, shift: Shift) -> Search | None:
    """What asks for further runs, where a strategy chooses them."""
    if not queue.search or shift.task is not None:
        return None
    return Search(store, sweep, queue, set(queue.run_ids))


def _is_silent(store: Store, rows: Mapping[str, Any], task: tuple[str, ...]) -> bool:
    """Whether a task's holder may be dead, so that the task may soon be for others."""
    return is_silent(lease_dir(store, read_spec(rows[task[0]]["spec"]), task[0]))


def _claim(
    store: Store, queue: Queue, rows: Mapping[str, Any], task: tuple[str, ...], run_id: str
) -> Lease | None:
    """Claim a task of which ``run_id`` is the first open run; None if another worker holds it."""
    spec = read_spec(rows[run_id]["spec"])
    purpose = f"{queue.path.stem} {run_id} {_progress(spec, store.run_dir(run_id))}"
    newest = max(last_epoch(store.run_dir(member)) for member in task)
    return claim(lease_dir(store, spec, run_id), purpose, after=newest)


def _now_and_then(question: Stop) -> Stop:
    """The last answer to a question that is asked of the file system every other second."""
    asked, answer = 0.0, False

    def ask() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked > LOOK_SECONDS:
            asked, answer = time.monotonic(), question()
        return answer

    return ask


def _progress(spec: Spec, run_dir: Path) -> int:
    """When the run was last checkpointed, in ns, or what its program last reported; 0 for never."""
    if isinstance(spec, ProgramSpec):
        return int((read_json(run_dir / STATE) or {}).get("step", 0))
    for path in checkpoints(run_dir):
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_mtime_ns
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
        if stop() or not lease.held():
            break
        if not queue.is_open(store, run_id):
            continue
        run_dir = store.run_dir(run_id)
        if lease.after_death >= MAX_DEATHS and count == 0:
            status = _give_up(queue, run_dir, lease)
        else:
            spec = read_spec(rows[run_id]["spec"])
            status = train_one(spec, run_id, stop=_stop_of(queue, run_id, lease, stop=stop))
            if spec.trunk_id and lease.held():
                tidy(store, spec.trunk_id)
        count += status != "stopped"
    settle(store, queue, task, lease)
    return count


def _stop_of(queue: Queue, run_id: str, lease: Lease, *, stop: Stop) -> Stop:
    """Whether one run has to stop: with its worker, without its lease, or by itself."""
    is_cancelled = _now_and_then(partial(queue.is_run_stopped, run_id))
    return lambda: stop() or not lease.held() or is_cancelled()


def run_one(
    store: Store,
    spec: Spec,
    run_id: str,
    *,
    resources: Resources,
    stop: Stop,
    lease: Lease,
    capture: bool = False,
    train: Train | None = None,
    keep: Keep = NOTHING,
) -> str:
    """Train one run under ``lease``; its status. The traceback of a failure is in its log.

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
        say = partial(print, file=log)
        try:
            with (
                _printing_to(log) if capture else contextlib.nullcontext(),
                monitored([(run_dir, lease)], resources, say),
            ):
                outcome = (train or train_alone)(
                    spec,
                    run_dir,
                    should_stop=stop,
                    epoch=lease.epoch,
                    held=lease.held,
                    **usable(store, spec, resources, keep),
                )
            status = str(outcome.status)
        except Exception as error:
            traceback.print_exc(file=log)
            last = end(read_journal(run_dir))
            if is_full(error) or last is None or last["status"] != "failed":
                raise
            status = "failed"
        print(f"{_now()} {status}", file=log)
    return status


def usable(store: Store, spec: Spec, resources: Resources, keep: Keep) -> dict[str, Any]:
    """What a run may use, as :func:`scaling.train` is told for its kind."""
    if isinstance(spec, ProgramSpec):
        # A worker beside others has one GPU of its node.
        gpus = resources.gpus if resources.is_alone else min(1, resources.gpus)
        means = Means(
            code=code_folder(store, spec.program.code, resources.code),
            threads=resources.threads,
            gpus=gpus,
            stop_signal=resources.stop_signal,
            stop_seconds=resources.stop_seconds,
            silent_minutes=resources.silent_minutes,
        )
        return {"means": means}
    return {
        "trunk_dir": store.trunk_dir(spec.trunk_id) if spec.trunk_id else None,
        "device": resources.device,
        "threads": resources.threads,
        "checkpoint_seconds": resources.checkpoint_seconds,
        "micro_batch": resources.micro_batch,
        "shard": resources.shard,
        "compile": resources.compile,
        "keep": keep,
    }


@contextlib.contextmanager
def _printing_to(log: TextIO) -> Iterator[None]:
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


def _give_up(queue: Queue, run_dir: Path, lease: Lease) -> str:
    """Record as failed a run whose workers died one after another."""
    job = (read_json(run_dir / STATE) or {}).get("job") or slurm_job()
    told = out_of_memory(job_log(queue.path.parents[1], job)) if job else ""
    hung = last_stall(read_turns(run_dir))
    why = f"out of memory, says job {job}: {told}" if told else "killed? out of memory?"
    why = str(hung["reason"]) if hung else why
    reason = f"{lease.after_death} workers died doing this run ({why})"
    journal = Journal(run_dir, lease.epoch, lease.held)
    try:
        cause = "stalled" if hung else "oom" if told else "killed"
        journal.append("end", status="failed", reason=reason, cause=cause, time=time.time())
    finally:
        journal.close()
    return "failed"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
