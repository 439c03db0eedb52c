"""The state of one run, from its folder, the submissions that asked for it, and their jobs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cluster.slurm import FAILING, WAITING, WORKING, Answer, Job
from cluster.work import (
    Fault,
    ProcessId,
    Queue,
    canary_failures,
    count_ends,
    fault_of_end,
    fault_of_job,
    holder,
    job_log,
    last_stall,
    now_of,
    read_queues,
)
from scaling.base import Store
from scaling.run import STATE, end, node_name, oom_kills, read_turns
from scaling.world import time

STALL_SECONDS = 120.0
NOTHING = Fault()
MADE_ROOM = ("PREEMPTED", "REQUEUED")  # the latter where its worker was signalled first


class Verdict(NamedTuple):
    """A state (:mod:`~cluster.status.run_status`), why, the run's SLURM job, what broke it."""

    state: str
    reason: str = ""
    job: str = ""
    fault: Fault = NOTHING


@dataclass(frozen=True)
class Work:
    """Who works on a sweep: its submissions, and what SLURM says of their jobs."""

    queues: Sequence[Queue]
    answer: Answer

    @cached_property
    def live_queues(self) -> list[Queue]:
        """The submissions that some process or job works on, or will."""
        return [queue for queue in self.queues if queue.is_live(self.answer)]

    @cached_property
    def live(self) -> dict[str, Queue]:
        """By run, the newest submission that asked for it and is still worked on."""
        return {
            run_id: queue
            for queue in self.live_queues
            for run_id in _unstopped(queue)
            if queue.may_take(run_id, self.answer)
        }

    @cached_property
    def newest(self) -> dict[str, Queue]:
        """By run, the newest submission that asked for it."""
        return {run_id: queue for queue in self.queues for run_id in queue.run_ids}

    @cached_property
    def is_on_slurm(self) -> bool:
        """Whether any submission went to SLURM."""
        return any(queue.slurm_jobs for queue in self.queues)

    def resources(self, run_id: str) -> Mapping[str, Any]:
        """What the newest submission gave a run."""
        queue = self.newest.get(run_id)
        return queue.resources if queue else {}

    def job(self, record: Mapping[str, Any]) -> Job | None:
        """The job that wrote a run's state, as SLURM knows it."""
        return self.answer.jobs.get(str(record.get("job") or ""))

    def waits_for(self, queue: Queue, run_id: str) -> str:
        """Why nobody has begun what would do a run, in SLURM's word; empty if somebody has."""
        if queue.waits(run_id):
            return "its job is sent when the site lets it wait (MaxSubmitJobs)"
        reason, trial = self._reason(queue, run_id), ", ".join(queue.canary)
        if trial and reason == "Dependency":
            return f"waits for its canary, jobs {trial}"
        if queue.policy.get("after") and (reason == "Dependency" or self._comes_later(queue)):
            return f"after sweep {', '.join(queue.policy['after'])}"
        return f"SLURM says {reason}" if reason else ""

    def _comes_later(self, queue: Queue) -> bool:
        """Whether local workers of another sweep have to end before a submission's begin."""
        if queue.slurm_jobs:
            return False
        if queue.path not in self._later:
            sweeps = queue.path.parents[2]
            others = [q for name in queue.policy["after"] for q in read_queues(sweeps / name)]
            self._later[queue.path] = any(other.live_processes for other in others)
        return self._later[queue.path]

    @cached_property
    def _later(self) -> dict[Path, bool]:
        return {}

    def held(self, queue: Queue, run_id: str) -> Job | None:
        """A job of a submission that SLURM holds, where it holds all that could do a run."""
        if own := self._own_job(queue, run_id):
            return own if own.is_held else None
        return self._held.get(queue.path)

    def wreck(self, run_id: str) -> Job | None:
        """A job of a run's newest submission that ended badly, where none is left to do it."""
        queue = self.newest.get(run_id)
        if queue is None:
            return None
        if not queue.own_jobs:
            return self._wrecks.get(queue.path)
        own = self._own_job(queue, run_id)
        return own if own and own.has_ended and own.state != "COMPLETED" else None

    def has_own(self, run_id: str, job: Job | None) -> bool:
        """Whether ``job`` runs for this run alone: no other takes the run over while it does."""
        queue = self.newest.get(run_id)
        if queue is None or job is None or job.state not in WORKING:
            return False
        return queue.own_jobs.get(run_id) == job.job_id

    def fault(self, job: Job) -> Fault:
        """What broke a job; its log is read once."""
        if job.job_id not in self._faults:
            log = job_log(self.queues[-1].path.parents[1], job.job_id)
            self._faults[job.job_id] = fault_of_job(job, log)
        return self._faults[job.job_id]

    @cached_property
    def _faults(self) -> dict[str, Fault]:
        return {}

    def _own_job(self, queue: Queue, run_id: str) -> Job | None:
        return self.answer.jobs.get(queue.own_jobs.get(run_id, ""))

    def _reason(self, queue: Queue, run_id: str) -> str:
        if own := self._own_job(queue, run_id):
            return own.reason if own.state in WAITING else ""
        return self._reasons.get(queue.path, "")

    def canary_failure(self, run_id: str) -> str:
        """Why a run's submission was not let follow its canary; empty if it was not for that."""
        queue = self.newest.get(run_id)
        return self._canaries.get(queue.path, "") if queue else ""

    def lacked_memory(self, record: Mapping[str, Any]) -> bool:
        """Whether the kernel of this machine has killed for memory since a run's last state."""
        here = record.get("host") == node_name()
        return here and self._oom_kills > record.get("oom_kills", math.inf)

    @cached_property
    def _oom_kills(self) -> int:
        return oom_kills()

    @cached_property
    def _canaries(self) -> dict[Path, str]:
        found = {}
        for queue in self.queues:
            if queue.canary:
                folder = queue.path.parents[1]
                why = canary_failures(Store(folder.parents[1]), folder.name, queue.path.stem)
                said = [f"{name}: {reason}" for name, reason in why.items()]
                # One that was killed (out of memory, say) could not say anything itself.
                jobs = (job for number in queue.canary for job in self.answer.tasks(number))
                said = said or [str(job) for job in jobs if job.state in FAILING]
                found[queue.path] = "; ".join(said)
        return found

    @cached_property
    def _jobs(self) -> dict[Path, list[Job]]:
        return {
            queue.path: [job for number in queue.slurm_jobs for job in self.answer.tasks(number)]
            for queue in self.queues
            if queue.slurm_jobs
        }

    @cached_property
    def _reasons(self) -> dict[Path, str]:
        reasons = {}
        for path, jobs in self._jobs.items():
            waiting = [job.reason for job in jobs if job.state in WAITING and job.reason]
            if waiting and not any(job.state in WORKING for job in jobs):
                reasons[path] = waiting[0]
        return reasons

    @cached_property
    def _held(self) -> dict[Path, Job]:
        found = {}
        for path, jobs in self._jobs.items():
            left = [job for job in jobs if not job.has_ended]
            if left and all(job.is_held for job in left):
                found[path] = left[0]
        return found

    @cached_property
    def _wrecks(self) -> dict[Path, Job]:
        found = {}
        for path, jobs in self._jobs.items():
            bad = next((job for job in jobs if job.state != "COMPLETED"), None)
            if bad and all(job.has_ended for job in jobs):
                found[path] = next((job for job in jobs if job.state in FAILING), bad)
        return found


def _unstopped(queue: Queue) -> Iterator[str]:
    stopped = queue.stopped_runs
    return (run_id for run_id in queue.run_ids if run_id not in stopped)


def judge(run_dir: Path | None, record: Mapping[str, Any], run_id: str, work: Work) -> Verdict:
    """The state of a run.

    Parameters
    ----------
    run_dir : Path or None
        None for a run that has none yet.
    record : dict
        Its ``state.json``, empty if there is none.
    run_id : str
    work : Work
    """
    state, name = record.get("state"), str(record.get("job") or "")
    job = work.job(record)
    if state == "done":
        return Verdict("done", "", name)
    if record.get("imported"):  # nobody works on it here
        return Verdict(str(state), str(record.get("reason") or ""))
    if state == "running":
        silence = _silence(run_dir, record)
        dead = not (_is_alive(record, silence) or work.has_own(run_id, job))
        dead = dead or (job is not None and job.has_ended)
        if not dead and (job is None or job.state not in WAITING):
            if job is not None and not job.is_known:
                return _unknown(job)
            if silence < STALL_SECONDS:
                return Verdict("running", "", name)
            reason = f"no sign of life for {silence:.0f} s{_at(job)}"
            return Verdict("stalled", reason, name, Fault("other"))
    events = read_turns(run_dir) if run_dir else []
    last = end(events)
    if last and last["status"] != "failed":
        return Verdict(last["status"], str(last.get("reason") or ""), name, fault_of_end(last))
    queue, hung = work.live.get(run_id), last_stall(events)
    if queue is not None and count_ends(events) <= queue.ends.get(run_id, 0):
        if state == "running" and not hung and _is_held(run_dir, record):
            reason = f"no step for {_silence(run_dir, record):.0f} s, though its process lives"
            return Verdict("stalled", f"{reason}{_at(job)}", name, Fault("stalled"))
        if hung and (job is None or job.state not in WAITING):
            return Verdict("queued", f"{hung['reason']}; another takes it over", name)
        return _queued(queue, run_id, job, work, bool(events or state))
    if last:
        fault = fault_of_end(last)
        state = "stalled" if fault.cause == "stalled" else "failed"
        return Verdict(state, str(last.get("reason") or ""), name, fault)
    if hung:
        reason = f"{hung['reason']} on {hung['host']}; submit again to go on"
        return Verdict("stalled", reason, name, Fault("stalled"))
    return _left(record, bool(events or state), job, run_id, work)


def _queued(queue: Queue, run_id: str, job: Job | None, work: Work, begun: bool) -> Verdict:
    """What a live submission will do."""
    if held := work.held(queue, run_id):
        reason = f"job {held.job_id} could not be launched and SLURM holds it; a retry goes on"
        return Verdict("stalled", reason, held.job_id, Fault("node", "job"))
    if job is not None and begun:
        if not job.has_ended and not job.is_known:
            return _unknown(job)
        if job.state == "PREEMPTED" or (job.state in WAITING and job.before in MADE_ROOM):
            return Verdict("pre-empted", "goes on when there is room", job.job_id)
        if job.state in FAILING:
            return Verdict("queued", f"{job}; another takes it over", job.job_id)
        if job.state in WAITING and job.before:
            return Verdict("queued", f"job {job.job_id} was requeued ({job.before})", job.job_id)
    return Verdict("queued", work.waits_for(queue, run_id))


def _left(
    record: Mapping[str, Any], begun: bool, job: Job | None, run_id: str, work: Work
) -> Verdict:
    """What nobody works on any more."""
    state, name = record.get("state"), str(record.get("job") or "")
    if job is None and not (begun and state == "stopped"):
        job = work.wreck(run_id)
    if job is not None:
        where = job.job_id
        if not job.has_ended and not job.is_known:
            return _unknown(job)
        if job.state in FAILING and state != "stopped":
            return Verdict("failed", str(job), where, work.fault(job))
        if job.state == "PREEMPTED":
            return Verdict("pre-empted", "its job was not requeued; submit again to go on", where)
        if job.state == "CANCELLED" and state == "running":
            return Verdict("stopped", f"job {where} was cancelled; submit again to go on", where)
        if job.state == "CANCELLED" and not begun:
            if canary := work.canary_failure(run_id):
                return Verdict("planned", f"its canary failed: {canary}")
            return Verdict("planned", "cancelled before it began")
    if state == "stopped":
        return Verdict("stopped", "checkpointed; submit again to go on", name)
    if begun:
        why, cause = "", "killed"
        if work.lacked_memory(record):
            why, cause = ", and the kernel has killed a process here since: out of memory", "oom"
        reason = f"its worker died{why}; submit again to go on"
        return Verdict("stalled", reason, name, Fault(cause, "worker"))
    return Verdict("planned")


def _unknown(job: Job) -> Verdict:
    return Verdict("unknown", f"unknown: {job.state} (job {job.job_id})", job.job_id)


def _at(job: Job | None) -> str:
    return f" ({job})" if job is not None else ""


def _silence(run_dir: Path | None, record: Mapping[str, Any]) -> float:
    """Seconds since a run's state was written, by the clock of the file system.

    The nodes' clocks, this one's too, may be minutes off.
    """
    if run_dir is not None:
        with contextlib.suppress(OSError):
            return now_of(run_dir) - (run_dir / STATE).stat().st_mtime
    return float(time.time() - record["time"])


def _is_held(run_dir: Path | None, record: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a run's state still beats: in a thread, so it may hang."""
    held = holder(run_dir) if run_dir is not None else None
    process = held.process if held is not None else None
    return process is not None and (process.host, process.pid) == (
        record.get("host"),
        record.get("pid"),
    )


def _is_alive(record: Mapping[str, Any], silence: float) -> bool:
    """Whether the process that wrote a run's state may still run."""
    if record.get("host") != node_name():
        return silence < STALL_SECONDS
    return ProcessId.of(record["pid"]).started != ""
