"""What a SLURM job does: a foreman works until time is over, then the job goes back into the queue.

A job near its limit, or pre-empted with a signal, checkpoints and puts itself back; one whose runs
are of several processes has no foreman and trains with those that SLURM started beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from cluster.slurm import run
from cluster.work.foreman import KILL_SECONDS, LOOK_SECONDS, Foreman, end_if_short
from cluster.work.submission import Queue
from cluster.work.worker import Shift, run_queue, stop_on_signals
from scaling.base import Store, WorkError, note
from scaling.world import os, path_at, signal, threading, time
from sweeps import Resources

LINGER_SECONDS = 120.0  # longer than a lease lives without its holder
START_SECONDS = 60.0  # a job's limit was this much longer, at most, when its worker looks at it
REQUEUE_SECONDS = 20.0  # that one try to go back into the queue may take
# SLURM's words where its controller is away or has only just come back; of an array's task it
# says no more than that a message was unexpected.
AWAY = re.compile(
    r"contact|timed out|connection|transport|unexpected message|zero bytes|standby", re.IGNORECASE
)


def work_in_slurm(root: str, sweep: str, queue_path: str, task: int | None) -> int:
    """What an array task does: work on a queue until it is empty or the time is over.

    Returns the number of workers that it started. ``task`` is the one task of the queue that a
    job of its own is for.

    Raises
    ------
    WorkError
        If workers die without getting a run going, or the time is too short for any.
    """
    store, queue = Store.at(root), Queue.read(path_at(queue_path))
    resources = Resources.from_dict(queue.resources)
    shift = _shift(resources, task)
    preempted = threading.Event()
    before = signal.signal(signal.SIGUSR2, lambda *_: preempted.set())
    try:
        with stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop:
            foreman = Foreman(
                store, sweep, queue, resources, shift, lambda: stop() or preempted.is_set()
            )
            if resources.processes > 1:
                leads = _work_together(foreman)
            else:
                foreman.work()
                leads = True
            if not leads or stop() or queue.is_stopped:
                return foreman.started
        if preempted.is_set() or foreman.short_of_time:
            _go_on_later(store, queue, shift, foreman)
    except OSError as error:
        end_if_short(error)
        raise
    finally:
        signal.signal(signal.SIGUSR2, before)
    return foreman.started


def _work_together(foreman: Foreman) -> bool:
    """Train in this process, with those that SLURM started beside it; whether it leads them."""
    from scaling import follow, train_together
    from scaling.training import connect

    with connect(foreman.store.root / "rendezvous", foreman.resources.device) as team:
        if not team.leads:
            follow(team, foreman.stop)
            return False
        turn = run_queue(
            foreman.store,
            foreman.sweep,
            foreman.queue,
            replace(foreman.resources, minutes=None),
            foreman.stop,
            capture=True,
            shift=foreman.shift,
            train=partial(train_together, team),
        )
    foreman.short_of_time = turn.short_of_time
    return True


def _shift(resources: Resources, task: int | None) -> Shift:
    """Until the job's limit, less what the last checkpoint takes.

    SLURM tells the limit by its own clock. Where this node's is so far from it that the job could
    not have begun just now, the limit counts from now.
    """
    linger = None if task is not None else LINGER_SECONDS
    ends = os.environ.get("SLURM_JOB_END_TIME")
    if resources.minutes is None and not ends:
        return Shift(linger_seconds=linger, task=task)
    now, limit = time.time(), 60 * (resources.minutes or 0.0)
    at = float(ends) if ends else now + limit
    limit = limit or at - now
    if not limit - START_SECONDS < at - now <= limit + START_SECONDS:
        at = now + limit
    return Shift(at - resources.margin, limit - resources.margin, linger, task)


def _go_on_later(store: Store, queue: Queue, shift: Shift, foreman: Foreman) -> None:
    """Put this job back into SLURM's queue if it left something to do."""
    tasks = queue.tasks if shift.task is None else [queue.tasks[shift.task]]
    left = [run_id for task in tasks for run_id in task if queue.is_open(store, run_id)]
    if not left:
        return
    if foreman.short_of_time and not foreman.got_going(foreman.began):
        raise WorkError(
            f"no run got going in the time of this job: {len(left)} are left; raise minutes, or "
            "lower margin_seconds"
        )
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    note(f"{len(left)} runs are left: job {job} goes on later")
    until = max(time.time(), shift.until or 0.0) + foreman.resources.margin - KILL_SECONDS
    while (reply := run(["scontrol", "requeue", job], REQUEUE_SECONDS)).failure:
        note(f"scontrol requeue {job}: {reply.words or reply.problem}")
        # Unless the controller is away: the scheduler, which pre-empts it, may have done so.
        away = reply.failure == "silent" or AWAY.search(reply.words)
        if not away or time.time() > until:
            return
        time.sleep(LOOK_SECONDS)
