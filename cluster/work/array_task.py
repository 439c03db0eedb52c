"""What a SLURM job does: a foreman works until time is over, then the job goes back into the queue.

A job near its limit, or pre-empted with a signal, checkpoints and leaves with :data:`GO_ON`: its
batch script puts it back, for here, in a container say, SLURM's commands may be missing. One whose
runs are of several processes has no foreman and trains with those that SLURM started beside it.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

from cluster.slurm import GO_ON
from cluster.work.foreman import Foreman, end_if_short
from cluster.work.ledger import Account
from cluster.work.memory import require_device
from cluster.work.policed import staging
from cluster.work.progress import Watch
from cluster.work.shift import Shift
from cluster.work.submission import Queue
from cluster.work.worker import run_queue, stop_on_signals
from scaling.base import Store, WorkError, note
from scaling.world import os, path_at, signal, threading, time
from sweeps import Resources

LINGER_SECONDS = 120.0  # longer than a lease lives without its holder
BEGAN = "SCALING_JOB_BEGAN"  # when the batch script did, by the clock of its node


def work_in_slurm(root: str, sweep: str, queue_path: str, task: int | None) -> int:
    """What an array task does: work on a queue until it is empty or the time is over.

    Returns the number of workers that it started. ``task`` is the one task of the queue that a
    job of its own is for.

    Raises
    ------
    WorkError
        If workers die without getting a run going, or the time is too short for any.
    SystemExit
        With ``GO_ON``, if the job has to come back for what is left.
    """
    store, queue = Store.at(root), Queue.read(path_at(queue_path))
    resources = Resources.from_dict(queue.resources)
    shift = _shift(resources, task)
    preempted = threading.Event()
    before = signal.signal(signal.SIGUSR2, lambda *_: preempted.set())
    try:
        with (
            stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop,
            _account(store, queue, resources) as account,
            staging(store, sweep, resources),
        ):
            foreman = Foreman(
                store,
                sweep,
                queue,
                resources,
                shift,
                lambda: stop() or preempted.is_set() or (account is not None and account.over()),
            )
            if resources.processes > 1:
                leads = _work_together(foreman)
            else:
                foreman.work()
                leads = True
            if not leads or stop() or queue.is_stopped:
                return foreman.started
        if preempted.is_set() or foreman.short_of_time or foreman.left_hanging:
            _go_on_later(shift, foreman)
    except OSError as error:
        end_if_short(error)
        raise
    finally:
        signal.signal(signal.SIGUSR2, before)
    return foreman.started


def _account(
    store: Store, queue: Queue, resources: Resources
) -> contextlib.AbstractContextManager[Account | None]:
    """What this job holds; one of several processes keeps it."""
    if int(os.environ.get("SLURM_PROCID") or 0):
        return contextlib.nullcontext()
    return Account.of_job(store, queue, resources)


def _work_together(foreman: Foreman) -> bool:
    """Train in this process, with those that SLURM started beside it; whether it leads them."""
    from scaling import follow, train_together
    from scaling.training import connect

    require_device(foreman.resources.device)
    watch = Watch(foreman.resources.silent_minutes)
    leads = not int(os.environ.get("SLURM_PROCID") or 0)
    with (
        watch.running() if leads else contextlib.nullcontext(),
        connect(foreman.store.root / "rendezvous", foreman.resources.device) as team,
    ):
        if not team.leads:
            follow(team, foreman.stop)
            return False
        turn = run_queue(
            foreman.store,
            foreman.sweep,
            foreman.queue,
            replace(foreman.resources, minutes=None),
            watch.asking(foreman.stop),
            capture=True,
            shift=foreman.shift,
            train=partial(watch.train, partial(train_together, team)),
        )
    foreman.short_of_time = turn.short_of_time
    return True


def _shift(resources: Resources, task: int | None) -> Shift:
    """Until the job's limit, less what the last checkpoint takes.

    When it began tells this node's clock, how long it may take the controller's.
    """
    linger = None if task is not None else LINGER_SECONDS
    now, ends, starts = (
        time.time(),
        *(float(os.environ.get(f"SLURM_JOB_{name}_TIME") or 0) for name in ("END", "START")),
    )
    if resources.minutes is None and not ends:
        return Shift(linger_seconds=linger, task=task)
    limit = 60 * resources.minutes if resources.minutes else ends - now
    if os.environ.get(BEGAN):
        limit = ends - starts if ends and starts else limit
        at = float(os.environ[BEGAN]) + limit
    else:
        at = ends or now + limit
    return Shift(at - resources.margin, limit - resources.margin, linger, task)


def _go_on_later(shift: Shift, foreman: Foreman) -> None:
    """Leave so that the batch script puts this job back, if it left something to do."""
    store, queue = foreman.store, foreman.queue
    tasks = queue.tasks if shift.task is None else [queue.tasks[shift.task]]
    left = [run_id for task in tasks for run_id in task if queue.is_open(store, run_id)]
    if not left:
        return
    if foreman.short_of_time and not foreman.got_going(foreman.began):
        raise WorkError(
            f"no run got going in the time of this job: {len(left)} are left; raise minutes, or "
            "lower margin_seconds"
        )
    note(f"{len(left)} runs are left: the job goes on later")
    raise SystemExit(GO_ON)
