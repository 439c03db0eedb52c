"""``cancel``: what is queued is not begun, and what runs is checkpointed."""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.slurm import PATIENCE_SECONDS as SLURM_PATIENCE
from cluster.slurm import Answer, ask_queue, by_cluster, run
from cluster.status import sweep_status
from cluster.work import ProcessId, Queue, ask_about, holder, lease_dir, read_queues
from scaling import read_any_spec
from scaling.base import Store, WorkError, note
from scaling.run import read_rows

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 1.0
GONE = ("Invalid job id", "already completed")  # SLURM's words for a job that has ended


@dataclass(frozen=True)
class Cancelled:
    """What came of it.

    Attributes
    ----------
    stopped : bool
        Whether somebody worked for the sweep, and does no more.
    words : str
        The same for people, with what to do next.
    """

    stopped: bool
    words: str


def cancel(
    name: str, root: str | None = None, patience: float = PATIENCE_SECONDS, run_id: str = ""
) -> Cancelled:
    """Ask all that work on a sweep to checkpoint and stop, and wait until they have.

    Its submissions are marked as stopped, which workers on any machine see within seconds; jobs
    that wait in SLURM's queue are cancelled, those that run get SIGTERM, and after ``patience``
    seconds they are cancelled too. With a ``run_id`` that run alone is stopped.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted, or it has no such run.
    WorkError
        If some do not stop, or SLURM does not answer.
    """
    store = Store.at(root)
    rows = read_rows(store, name)
    queues = read_queues(store.sweep_dir(name))
    said = ask_about(queues)
    live = [queue for queue in queues if queue.is_live(said)]
    if run_id:
        row = next((row for row in rows if row["run_id"] == run_id), None)
        if row is None:
            raise ValueError(f"sweep {name!r} has no run {run_id!r}: see `scaling status {name}`")
        return _cancel_run(store, name, row, live, said, patience)
    if not live:
        return Cancelled(False, f"nobody works on sweep {name!r}: nothing to cancel")
    processes = sorted({p for queue in live for p in queue.live_processes}, key=lambda p: p.pid)
    for queue in live:
        queue.stop()
    jobs = [j for queue in live for j in (*queue.slurm_jobs, *queue.canary) if said.may_run(j)]
    count = len(processes) + sum(not task.has_ended for j in jobs for task in said.tasks(j))
    note(f"asking {count or 'the'} workers to write their checkpoints and stop ...")
    until = time.monotonic() + patience
    tried = [job for queue in live for job in queue.canary if job in jobs]
    _scancel(tried)  # a canary leaves nothing
    _scancel(jobs, "--state=PENDING")
    _scancel(jobs, "--signal=TERM")
    _end_processes([p for p in processes if p.is_local], until, patience)
    _end_jobs(jobs, until, patience)
    elsewhere = sorted({p.host for p in processes if not p.is_local})
    if elsewhere:
        note(f"workers on {', '.join(elsewhere)} see it within seconds; they are not waited for")
    return Cancelled(True, f"stopped; `scaling retry {name}` or submitting again goes on")


def _cancel_run(
    store: Store,
    name: str,
    row: Mapping[str, Any],
    live: Sequence[Queue],
    said: Answer,
    patience: float,
) -> Cancelled:
    """Stop one run: what does it goes on with others, a SLURM job of its own is cancelled."""
    run_id, until = row["run_id"], time.monotonic() + patience
    asked = [queue for queue in live if _has_open(queue, store, run_id, said)]
    for queue in asked:
        queue.stop_run(run_id)
    jobs = [job for queue in asked if (job := _job_for_it_alone(queue, store, run_id))]
    _scancel(jobs, "--state=PENDING")
    _scancel(jobs, "--signal=TERM")
    other = _other_sweep(store, name, row)
    while not other and (running := _runs(name, store, row)) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    if not (other or jobs) and running:
        raise WorkError(
            f"run {run_id} did not stop within {patience:.0f} s; it will when its worker answers, "
            f"and `scaling cancel {shlex.quote(name)}` stops them all"
        )
    _end_jobs(jobs, until, patience)
    if other:
        how = f"`scaling cancel {other} {run_id}` stops it"
        return Cancelled(False, f"sweep {other!r} does run {run_id}: {how}")
    if asked:
        how = f"`scaling retry {name}` or submitting again goes on"
        return Cancelled(True, f"run {run_id} is stopped; {how}")
    return Cancelled(False, f"nobody works on run {run_id} for sweep {name!r}: nothing to cancel")


def _has_open(queue: Queue, store: Store, run_id: str, said: Answer) -> bool:
    """Whether a live submission does a run or will."""
    asked = run_id in set(queue.run_ids)
    return asked and queue.may_take(run_id, said) and queue.is_open(store, run_id)


def _job_for_it_alone(queue: Queue, store: Store, run_id: str) -> str:
    """The SLURM job that has nothing but this run to do; empty if there is none."""
    task = next(task for task in queue.tasks if run_id in task)
    others_wait = any(queue.is_open(store, other) for other in task)
    return "" if others_wait else queue.own_jobs.get(run_id, "")


def _runs(name: str, store: Store, row: Mapping[str, Any]) -> bool:
    status = sweep_status(name, store.root, rows=[row])
    return any(not run.imported for run in status.in_state("running"))


def _other_sweep(store: Store, name: str, row: Mapping[str, Any]) -> str:
    """The other sweep whose submission does a run at this moment; empty if none does."""
    held = holder(lease_dir(store, read_any_spec(row["spec"]), row["run_id"]))
    submission = held.purpose.split()[0] if held and held.purpose else ""
    found = (store.root / "sweeps").glob(f"*/submissions/{glob.escape(submission)}.json")
    sweeps = [path.parents[1].name for path in found] if submission else []
    running = sweeps and name not in sweeps and _runs(name, store, row)
    return sweeps[0] if running else ""


def _end_processes(processes: list[ProcessId], until: float, patience: float) -> None:
    while alive := [process for process in processes if process.is_alive]:
        if time.monotonic() > until:
            raise WorkError(
                f"{len(alive)} workers did not stop within {patience:.0f} s: "
                f"processes {', '.join(str(process.pid) for process in alive)}"
            )
        # Again and again: a worker that is only starting does not listen yet.
        for process in alive:
            # Another user's sees by itself that it has to stop, within seconds.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.5)


def _end_jobs(jobs: list[str], until: float, patience: float) -> None:
    """Wait for SLURM's jobs; those that have not ended by then are cancelled as they are."""
    while jobs and time.monotonic() < until:
        said = ask_queue(jobs)
        jobs = [job for job in jobs if said.may_run(job)]
        if jobs:
            time.sleep(LOOK_SECONDS)
            _scancel(jobs, "--state=PENDING")  # those that were pre-empted just now wait again
    if jobs:
        _scancel(jobs)
        note(
            f"jobs {', '.join(jobs)} did not end within {patience:.0f} s and are cancelled; "
            "what they ran goes on from its last checkpoint"
        )


def _scancel(jobs: Sequence[str], *options: str) -> None:
    """Run ``scancel`` for jobs, if any; those that are gone already are no mistake.

    Raises
    ------
    WorkError
        If SLURM does not answer.
    """
    for cluster, numbers in by_cluster(jobs).items():
        reply = run(["scancel", "--quiet", *options, *numbers], SLURM_PATIENCE, cluster)
        problem = reply.problem if reply.failure != "refused" else " ".join(reply.words.split())
        if problem and not any(words in problem for words in GONE):
            raise WorkError(
                f"SLURM does not answer ({problem}): workers that run stop within seconds all the "
                "same; cancel again for those that wait"
            )
