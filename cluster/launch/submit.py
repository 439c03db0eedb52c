"""``submit``: from a sweep to the runs that are still to do, and the processes that do them."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cluster.launch import slurm as remote
from cluster.status import watching
from cluster.tracking import deliver, deliver_in_time, prepare_tracking, start_shipper, take_over
from cluster.work import (
    ProcessId,
    Queue,
    claim,
    count_ends,
    last_words,
    lease_dir,
    make_tasks,
    read_queues,
    run_queue,
    stop_on_signals,
    tidy_up_after,
    work,
)
from scaling.base import Store, WorkError, note
from scaling.run import STATE, begin_anew, end, last_epoch, read_journal
from sweeps import ResourceRules, Resources
from sweeps import Sweep as SweepType

if TYPE_CHECKING:
    from sweeps import Sweep

On = Literal["local", "slurm", "inline"]
Rerun = Literal["missing", "failed", "all"]
PLACES = ("local", "slurm", "inline")
RERUNS = ("missing", "failed", "all")
FOREVER = 60 * 24 * 366  # minutes: submitit's local executor wants a limit


@dataclass(frozen=True)
class Submission:
    """What :func:`submit` did.

    Attributes
    ----------
    submitted : tuple of str
        ``run_id`` of the runs that were to do, longest task first.
    skipped : tuple of str
        Those of the sweep that were not: they have a result, or failed before.
    job_ids : tuple of str
        The worker jobs, on SLURM the arrays; none for ``inline``.
    """

    sweep: str
    submitted: tuple[str, ...]
    skipped: tuple[str, ...]
    job_ids: tuple[str, ...] = ()
    jobs: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    shipper: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling submit --json`` prints."""
        return {
            "sweep": self.sweep,
            "submitted": list(self.submitted),
            "skipped": list(self.skipped),
            "job_ids": list(self.job_ids),
        }


def submit(
    sweep: Sweep,
    *,
    on: On = "local",
    workers: int = 2,
    root: str | Path | None = None,
    tracking_uri: str | None = None,
    rerun: Rerun = "missing",
    dry_run: bool = False,
    wait: bool = False,
    resources: Resources | None = None,
    settings: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    canary: bool = False,
) -> Submission:
    """Run what is not done yet of a sweep.

    Parameters
    ----------
    sweep : Sweep
        Runs that an earlier sweep of the same name had stay in it.
    on : {"local", "slurm", "inline"}
        ``local``: worker processes through submitit's local executor, which outlive this one;
        ``slurm``: job arrays, one for each class of the sweep's ``resources``;
        ``inline``: in this process, which then waits.
    workers : int
        Worker processes (``local``), or jobs at a time of a class that does not say (``slurm``).
    root, tracking_uri : optional
        Where runs are kept and tracked; see :class:`scaling.base.store.Store`.
    rerun : {"missing", "failed", "all"}
        ``missing``: runs that never ended; ``failed``: those that failed too; ``all``: every
        run from its beginning, what it had is thrown away.
    dry_run : bool
        Only say what would be done; nothing is written.
    wait : bool
        Show the progress and return when the workers have ended.
    resources : Resources, optional
        What a worker may use (``local``, ``inline``); by default what the sweep says, without
        its ``minutes``.
    settings : dict, optional
        Fields of :class:`sweeps.resources.Resources` that win over those of the sweep.
    only : collection of str, optional
        The runs to look at; all for None.
    canary : bool
        On SLURM: try the smallest and the largest run for a few steps first; the rest follows
        only if they succeed.

    Returns
    -------
    Submission

    Raises
    ------
    ValueError
        For an option that is not known, or resources that the SLURM site does not have.
    WorkError
        When waiting, if the workers ended with runs left undone; without a SLURM that answers.
    KeyboardInterrupt
        When waiting, after Ctrl-C; what ran is checkpointed.
    """
    _one_of("on", on, PLACES)
    _one_of("rerun", rerun, RERUNS)
    if workers < 1:
        raise ValueError(f"workers {workers} is below 1")
    if canary and on != "slurm":
        raise ValueError(f"canary has no effect on {on!r}: it is for jobs that wait in a queue")
    rules = ResourceRules.parse(sweep.resources, settings)
    resources = resources or replace(rules.of(0), minutes=None)
    store = Store.at(root)
    uri = tracking_uri or store.tracking_uri
    ends = _runs_to_do(store, sweep, rerun, only)
    if on == "slurm":
        have_own = remote.have_own_jobs(store, sweep.name, release=not dry_run)
        taken = have_own.intersection(ends) if rerun != "all" else set()
        if taken:
            note(f"{len(taken)} runs have a job of their own in SLURM already: it does them")
        ends = {run_id: count for run_id, count in ends.items() if run_id not in taken}
    specs = {entry.run_id: entry.spec for entry in sweep if entry.run_id in ends}
    longest_first = make_tasks(specs.items())
    tasks = [task.run_ids for task in longest_first]
    chosen = tuple(run_id for task in tasks for run_id in task)
    skipped = tuple(entry.run_id for entry in sweep if entry.run_id not in ends)
    submission = Submission(sweep.name, chosen, skipped)
    plan = None
    if on == "slurm":
        plan = remote.plan(sweep, longest_first, rules, workers)
    if dry_run:
        return submission
    _write_sweep(store, sweep)
    if rerun == "all":
        for entry in (entry for entry in sweep if entry.run_id in ends):
            _begin_anew(store, entry.run_id, lease_dir(store, entry.spec, entry.run_id))
        ends = dict.fromkeys(ends, 0)
    tidy_up_after(store, (entry.spec for entry in sweep if entry.run_id not in ends))
    if not chosen:
        deliver(store, sweep, uri)
        return submission
    prepare_tracking(store, sweep, uri)
    if plan is not None:
        try:
            queues = remote.launch(store, sweep, plan, ends, canary)
        except WorkError:
            # What SLURM took before it refused is shipped all the same.
            if any(queue.slurm_jobs for queue in read_queues(store.sweep_dir(sweep.name))):
                start_shipper(store, sweep.name, uri)
            raise
        job_ids = tuple(job for queue in queues for job in queue.slurm_jobs)
        shipper = start_shipper(store, sweep.name, uri)
        submission = replace(submission, job_ids=job_ids, shipper=shipper)
        if wait:
            try:
                remote.wait(store, sweep.name, plan, queues)
            finally:
                take_over(store, sweep, uri, shipper)
        return submission
    queue = replace(Queue.new(store.sweep_dir(sweep.name), tasks, ends), workers=workers)
    if on == "inline":
        queue = queue.with_jobs([ProcessId.of()])
        queue.write()
        try:
            _run_inline(store, sweep.name, queue, resources)
        except KeyboardInterrupt:
            deliver_in_time(store, sweep, uri)
            raise
        deliver(store, sweep, uri)
        return submission
    queue.write()
    jobs = _start_workers(store, sweep.name, queue, resources, min(workers, len(tasks)))
    job_ids = tuple(str(job.job_id) for job in jobs)
    queue.with_jobs([ProcessId.of(int(job_id)) for job_id in job_ids]).write()
    shipper = start_shipper(store, sweep.name, uri)
    submission = replace(submission, job_ids=job_ids, jobs=tuple(jobs), shipper=shipper)
    if wait:
        _wait_for(store, submission)
        take_over(store, sweep, uri, shipper)
        _check_all_done(store, submission, queue)
    return submission


def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{option} {value!r} is not known: choose one of {', '.join(allowed)}")


def _runs_to_do(
    store: Store, sweep: Sweep, rerun: Rerun, only: Collection[str] | None
) -> dict[str, int]:
    """The runs to do, with how often each has ended so far."""
    chosen = {}
    for entry in sweep:
        if only is not None and entry.run_id not in only:
            continue
        events = read_journal(store.run_dir(entry.run_id))
        last = end(events)
        if rerun == "all" or last is None or (rerun == "failed" and last["status"] == "failed"):
            chosen[entry.run_id] = count_ends(events)
    return chosen


def _write_sweep(store: Store, sweep: Sweep) -> None:
    """Write the sweep's file; runs of an earlier sweep of the same name stay in it."""
    folder = store.sweep_dir(sweep.name)
    path = folder / "sweep.jsonl"
    while (lease := claim(folder, "write")) is None:
        time.sleep(0.1)
    with lease:
        before = SweepType.read(path) if path.exists() else SweepType(sweep.name, ())
        resources = sweep.resources or before.resources
        ours = {entry.run_id for entry in sweep}
        others = [entry for entry in before if entry.run_id not in ours]
        if others:
            note(
                f"sweep {sweep.name!r} had {len(others)} runs that are not in this file; "
                "they stay part of it"
            )
        known = {entry.run_id: entry for entry in before}
        taken = {entry.name for entry in before}
        merged = list(before)
        for entry in sweep:
            if entry.run_id not in known:
                # Names are made from what varies within one file, so two files may clash.
                clash = entry.name in taken
                name = f"{entry.name}-{entry.run_id[:6]}" if clash else entry.name
                merged.append(replace(entry, name=name))
                taken.add(name)
        if len(merged) > len(before) or resources != before.resources:
            SweepType(sweep.name, tuple(merged), resources).write(path)


def _begin_anew(store: Store, run_id: str, held: Path) -> None:
    """Throw away what a run and its trunk have; the log and the leases stay."""
    lease = claim(held, after=last_epoch(store.run_dir(run_id)))
    if lease is None:
        note(f"run {run_id} is being done right now: it is not begun anew")
        return
    with lease:
        run_dir = store.run_dir(run_id)
        for path in [*run_dir.glob("*.pt"), *held.glob("*.pt")]:
            path.unlink()
        (run_dir / STATE).unlink(missing_ok=True)
        begin_anew(run_dir, lease.epoch)


def _run_inline(store: Store, name: str, queue: Queue, resources: Resources) -> None:
    with stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop:
        try:
            with watching(store, name):
                run_queue(store, name, queue, resources, stop)
        finally:
            queue.with_jobs([]).write()
        if stop():
            _say_how_to_go_on(name)
            raise KeyboardInterrupt


def _start_workers(
    store: Store, name: str, queue: Queue, resources: Resources, workers: int
) -> list[Any]:
    import submitit

    threads = str(resources.threads)
    executor = submitit.AutoExecutor(folder=store.sweep_dir(name) / "logs", cluster="local")
    executor.update_parameters(name=name, timeout_min=FOREVER)
    # submitit's local executor hides all GPUs; workers share what this process sees.
    environment = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES")}
    with _variables(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads), _signals_ignored():
        return [
            executor.submit(work, str(store.root), name, str(queue.path), resources, environment)
            for _ in range(workers)
        ]


@contextlib.contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Let processes that are started meanwhile ignore Ctrl-C and the end of the terminal.

    Ignored signals stay ignored in a child: submitit's controllers would otherwise answer
    Ctrl-C with a SIGKILL to their worker one second later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for(store: Store, submission: Submission) -> None:
    """Wait for the workers; on Ctrl-C ask them to stop."""
    try:
        with watching(store, submission.sweep):
            while not all(_has_ended(job) for job in submission.jobs):
                time.sleep(0.2)
    except KeyboardInterrupt:
        note("stopping the workers; they write their checkpoints ...")
        while not all(job.done() for job in submission.jobs):
            for job in submission.jobs:
                if not job.done():
                    os.kill(int(job.job_id), signal.SIGTERM)
            time.sleep(0.5)
        _say_how_to_go_on(submission.sweep)
        raise


def _has_ended(job: Any) -> bool:
    """Whether a job has its result, and its process, which ends a little later, is gone."""
    return bool(job.done()) and not ProcessId.of(int(job.job_id)).started


def _check_all_done(store: Store, submission: Submission, queue: Queue) -> None:
    left = [run_id for run_id in submission.submitted if queue.is_open(store, run_id)]
    if left:
        logs = store.sweep_dir(submission.sweep) / "logs"
        words = {last_words(logs, job_id) for job_id in submission.job_ids}
        raise WorkError(
            f"the workers ended with {len(left)} of {len(submission.submitted)} runs left "
            f"({'; '.join(sorted(words))}): submit again to go on, logs are in {logs}"
        )


def _say_how_to_go_on(name: str) -> None:
    note(
        f"stopped; what ran is checkpointed. `scaling retry {shlex.quote(name)}` or the same "
        "command again goes on"
    )
