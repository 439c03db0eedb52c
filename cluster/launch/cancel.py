"""``cancel``: what is queued is not begun, and what runs is checkpointed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from cluster.slurm import PATIENCE_SECONDS as SLURM_PATIENCE
from cluster.slurm import ask_queue, run
from cluster.work import ProcessId, ask_about, read_queues
from scaling.base import Store, WorkError, note
from scaling.run import read_rows

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 1.0
GONE = ("Invalid job id", "already completed")  # SLURM's words for a job that has ended


def cancel(name: str, root: str | None = None, patience: float = PATIENCE_SECONDS) -> int:
    """Ask all that work on a sweep to checkpoint and stop, and wait until they have.

    Its submissions are marked as stopped, which workers on any machine see within seconds; jobs
    that wait in SLURM's queue are cancelled, those that run get SIGTERM, and after ``patience``
    seconds they are cancelled too.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    WorkError
        If some do not stop, or SLURM does not answer.
    """
    store = Store.at(root)
    read_rows(store, name)
    queues = read_queues(store.sweep_dir(name))
    said = ask_about(queues)
    live = [queue for queue in queues if queue.is_live(said)]
    if not live:
        note(f"nobody works on sweep {name!r}: nothing to cancel")
        return 0
    processes = sorted({p for queue in live for p in queue.live_processes}, key=lambda p: p.pid)
    for queue in live:
        queue.stop()
    jobs = [j for queue in live for j in (*queue.slurm_jobs, *queue.canary) if said.may_run(j)]
    count = len(processes) + sum(not task.has_ended for j in jobs for task in said.tasks(j))
    note(f"asking {count or 'the'} workers to write their checkpoints and stop ...")
    until = time.monotonic() + patience
    tried = [job for queue in live for job in queue.canary if job in jobs]
    if tried:
        _scancel(*tried)  # a canary leaves nothing
    if jobs:
        _scancel("--state=PENDING", *jobs)
        _scancel("--signal=TERM", *jobs)
    _end_processes([p for p in processes if p.is_local], until, patience)
    _end_jobs(jobs, until, patience)
    elsewhere = sorted({p.host for p in processes if not p.is_local})
    if elsewhere:
        note(f"workers on {', '.join(elsewhere)} see it within seconds; they are not waited for")
    print(f"stopped; `scaling retry {name}` or submitting again goes on")
    return 0


def _end_processes(processes: list[ProcessId], until: float, patience: float) -> None:
    while alive := [process for process in processes if process.is_alive]:
        if time.monotonic() > until:
            raise WorkError(
                f"{len(alive)} workers did not stop within {patience:.0f} s: "
                f"processes {', '.join(str(process.pid) for process in alive)}"
            )
        # Again and again: a worker that is only starting does not listen yet.
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.5)


def _end_jobs(jobs: list[str], until: float, patience: float) -> None:
    """Wait for SLURM's jobs; those that have not ended by then are cancelled as they are."""
    while jobs and time.monotonic() < until:
        said = ask_queue(jobs)
        jobs = [job for job in jobs if said.may_run(job)]
        if jobs:
            time.sleep(LOOK_SECONDS)
            _scancel("--state=PENDING", *jobs)  # those that were pre-empted just now wait again
    if jobs:
        _scancel(*jobs)
        note(
            f"jobs {', '.join(jobs)} did not end within {patience:.0f} s and are cancelled; "
            "what they ran goes on from its last checkpoint"
        )


def _scancel(*arguments: str) -> None:
    """Run ``scancel``; jobs that are gone already are no mistake.

    Raises
    ------
    WorkError
        If SLURM does not answer.
    """
    reply = run(["scancel", "--quiet", *arguments], SLURM_PATIENCE)
    problem = reply.problem if reply.failure != "refused" else " ".join(reply.words.split())
    if problem and not any(words in problem for words in GONE):
        raise WorkError(
            f"SLURM does not answer ({problem}): workers that run stop within seconds all the "
            "same; cancel again for those that wait"
        )
