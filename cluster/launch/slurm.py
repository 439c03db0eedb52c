"""A submission to SLURM from end to end: check, snapshot, canary, arrays; and waiting for it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.launch.arrays import JobClass, check, classes, send, send_canary, within
from cluster.launch.snapshot import snapshot
from cluster.slurm import Site, ask_queue, command_output
from cluster.status import watching
from cluster.work import Queue, Task, canary_failures, choose, read_queues
from scaling.base import Store, WorkError, note
from sweeps import ResourceRules

if TYPE_CHECKING:
    from sweeps import Sweep

LOOK_SECONDS = 5.0  # between questions to the controller
ATTEMPTS = 5  # to send jobs again, or to let SLURM launch what it could not
PAUSE_LOOKS = 6  # questions between two attempts: a node may come back
SETTLE_SECONDS = 5.0  # what the last jobs wrote may reach this machine so much later


@dataclass(frozen=True)
class Plan:
    """What would be sent: the runs by class, checked against the site."""

    site: Site
    kinds: tuple[JobClass, ...]
    workers: int


def plan(sweep: Sweep, tasks: Sequence[Task], rules: ResourceRules, workers: int) -> Plan:
    """The classes of a sweep's tasks.

    Raises
    ------
    ValueError
        If the site cannot run one of them.
    WorkError
        If there is no SLURM, or it does not answer.
    """
    site = Site.ask()
    sizes = {entry.run_id: float(entry.spec.cost.num_params) for entry in sweep}
    kinds = [within(site, kind) for kind in classes(tasks, sizes, rules)]
    check(site, kinds)
    return Plan(site, tuple(kinds), workers)


def have_own_jobs(store: Store, name: str, *, release: bool) -> set[str]:
    """The runs of a sweep that a job of their own does or will do.

    With ``release``, SLURM tries again what it holds because it could not launch it.
    """
    queues = [queue for queue in read_queues(store.sweep_dir(name)) if not queue.is_stopped]
    said = ask_queue(job for queue in queues for job in (*queue.slurm_jobs, *queue.canary))
    if release:
        _release(said.held)
    return {
        run_id
        for queue in queues
        for run_id, job in queue.own_jobs.items()
        if job in said.jobs and said.may_run(job)
    }


def launch(
    store: Store, sweep: Sweep, plan: Plan, ends: Mapping[str, int], canary: bool
) -> list[Queue]:
    """Send a plan; the queues, one a class, with their jobs."""
    folder = store.sweep_dir(sweep.name)
    code = snapshot(folder)
    queues = []
    for kind in plan.kinds:
        tasks = [task.run_ids for task in kind.tasks]
        own = {run_id: ends[run_id] for task in tasks for run_id in task}
        queue = replace(
            Queue.new(folder, tasks, own),
            resources=kind.resources.to_dict(),
            workers=plan.workers,
        )
        queue.write()
        queues.append(queue)
    if canary:
        rows = {entry.run_id: entry.columns for entry in sweep if entry.run_id in ends}
        specs = {entry.run_id: entry.spec.to_dict() for entry in sweep}
        tried = {run_id: specs[run_id] for run_id in choose(rows)}
        pairs = list(zip(queues, plan.kinds, strict=True))
        jobs = send_canary(store, sweep.name, pairs, tried, code)
        note(f"canary: {', '.join(tried)} in jobs {', '.join(jobs)}; the rest waits for them")
        queues = [replace(queue, canary=jobs) for queue in queues]
        for queue in queues:
            queue.write()
    return [
        send(store, sweep.name, queue, kind, plan.workers, plan.site, code)
        for queue, kind in zip(queues, plan.kinds, strict=True)
    ]


def wait(store: Store, name: str, plan: Plan, queues: Sequence[Queue]) -> list[Queue]:
    """Wait until a submission's jobs have ended; send new ones as long as that gets on.

    Workers that were killed together leave runs that nobody does; new jobs take them up from
    their checkpoints.

    Raises
    ------
    WorkError
        If the canary failed, somebody cancelled the sweep, the last jobs ended without
        finishing a run, or SLURM cannot launch one.
    KeyboardInterrupt
        After Ctrl-C; the jobs go on.
    """
    before = sum(len(_left(store, queue)) for queue in queues)
    with watching(store, name):
        while True:
            try:
                _wait_for_jobs(queues)
            except KeyboardInterrupt:
                note(
                    "the jobs go on; `scaling status` shows them, "
                    f"`scaling cancel {shlex.quote(name)}` stops them"
                )
                raise
            left = sum(len(_left(store, queue)) for queue in queues)
            if not left:
                return list(queues)
            _check(store, name, queues, left)
            if left == before:
                raise WorkError(
                    f"the jobs ended with {left} runs left and none finished by the last ones: "
                    f"see `scaling status {shlex.quote(name)}`; `scaling retry` goes on"
                )
            before = left
            note(f"{left} runs are left without a worker: new jobs go on")
            code = snapshot(store.sweep_dir(name))
            queues = [
                _send_again(store, name, plan, queue, kind, code)
                for queue, kind in zip(queues, plan.kinds, strict=True)
            ]


def _send_again(
    store: Store, name: str, plan: Plan, queue: Queue, kind: JobClass, code: Path
) -> Queue:
    """Send a queue anew; a controller that has just started refuses until it knows its nodes."""
    attempt = 1
    while True:
        again = replace(Queue.read(queue.path), canary=())
        try:
            return send(store, name, again, kind, plan.workers, plan.site, code)
        except WorkError as error:
            if attempt == ATTEMPTS:
                raise
            note(f"{error}; trying again")
        time.sleep(PAUSE_LOOKS * LOOK_SECONDS)
        attempt += 1


def _left(store: Store, queue: Queue) -> list[str]:
    return [run_id for run_id in queue.run_ids if queue.is_open(store, run_id)]


def _check(store: Store, name: str, queues: Sequence[Queue], left: int) -> None:
    """Say why nobody should go on."""
    for queue in queues:
        failed = canary_failures(store, name, queue.path.stem)
        if failed:
            why = "; ".join(f"{run_id}: {reason}" for run_id, reason in failed.items())
            raise WorkError(f"the canary failed, nothing else ran: {why}")
        if queue.is_stopped:
            raise WorkError(
                f"the sweep was cancelled with {left} runs left: `scaling retry "
                f"{shlex.quote(name)}` goes on"
            )


def _wait_for_jobs(queues: Sequence[Queue]) -> None:
    """Wait until SLURM has none of the jobs any more; a controller that is away may come back."""
    jobs = {job for queue in queues for job in (*queue.canary, *queue.slurm_jobs)}
    told, looks = False, 0
    while True:
        said = ask_queue(jobs)
        if said.problem and not told:
            note(f"{said.problem}; waiting for it")
        told = bool(said.problem)
        if not any(said.may_run(job) for job in jobs):
            time.sleep(SETTLE_SECONDS)
            return
        if held := said.held:
            others_go_on = any(not (job.has_ended or job.is_held) for job in said.jobs.values())
            if looks >= ATTEMPTS * PAUSE_LOOKS and not others_go_on:
                raise WorkError(
                    f"SLURM could not launch job {held[0]}, {ATTEMPTS} times: see the nodes it was "
                    f"given (`scontrol show job {held[0]}`); `scaling retry` goes on"
                )
            if looks % PAUSE_LOOKS == 0:
                _release(held)
            looks += 1
        time.sleep(LOOK_SECONDS)


def _release(held: Sequence[str]) -> None:
    """Let SLURM try again what it holds because it could not launch it."""
    if not held:
        return
    try:
        command_output(("scontrol", "release", ",".join(held)))
        note(f"SLURM could not launch {', '.join(held)} and held it: released")
    except WorkError as error:
        note(f"SLURM holds {', '.join(held)}, which it could not launch: {error}")
