"""A scheduler: it starts jobs, makes room, loses nodes, answers late, wrongly or not at all."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cluster.work.array_task import BEGAN
from tests.simulator.kernel import EPOCH, Kernel, Node, Process

AWAY = (
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    "Unexpected message received",
    "Socket timed out on send/recv operation",
)
REMEMBERED = 300.0  # seconds for which squeue has what ended
KILL_WAIT = 30.0


@dataclass
class Attempt:
    began: float
    node: str
    state: str = "RUNNING"
    ended: float = 0.0
    code: str = "0:0"


@dataclass
class Job:
    """A task of an array."""

    array: int
    task: int
    script: Callable[[], Any]
    limit: float
    state: str = "PENDING"
    reason: str = "Priority"
    not_before: float = 0.0
    node: Node | None = None
    process: Process | None = None
    attempts: list[Attempt] = field(default_factory=list)
    going: str = ""  # what it ends as, once its processes are gone
    again: bool = False  # and whether it waits for another turn then
    ooms: int = 0

    @property
    def name(self) -> str:
        return f"{self.array}_{self.task}"


class Slurm:
    """The controller and its nodes."""

    def __init__(self, kernel: Kernel, nodes: list[Node], log: Callable[[str, str], None]) -> None:
        self.kernel, self.nodes, self.log = kernel, nodes, log
        self.jobs: list[Job] = []
        self.up = dict.fromkeys((node.name for node in nodes), 0.0)
        self.away, self.how = 0.0, ""
        self.lag = 2.0
        self.slow = 0.0
        self.array = 100
        self.looks_again = False  # for jobs that found no place

    def submit(self, scripts: list[Callable[[], Any]], limit: float) -> str:
        """A job array; its number."""
        self.array += 1
        for task, script in enumerate(scripts):
            self.jobs.append(Job(self.array, task, script, limit, not_before=self.kernel.now + 1))
        self.kernel.at(self.kernel.now + 2, self.place)
        return str(self.array)

    def place(self) -> None:
        """Start what can be."""
        now = self.kernel.now
        for job in self.jobs:
            if job.state != "PENDING" or job.not_before > now:
                continue
            free = [
                node
                for node in self.nodes
                if self.up[node.name] <= now
                and sum(j.node is node and j.state == "RUNNING" for j in self.jobs) < 2
            ]
            if free:
                self._launch(job, free[job.task % len(free)])
            else:
                job.reason = "Resources"
                if not self.looks_again:
                    self.looks_again = True
                    self.kernel.at(now + 20, self._look_again)

    def _look_again(self) -> None:
        self.looks_again = False
        self.place()

    def _launch(self, job: Job, node: Node) -> None:
        now = self.kernel.now
        job.state, job.node, job.reason, job.going, job.again = "RUNNING", node, "None", "", False
        job.attempts.append(Attempt(now, node.name))
        environ = {
            "SLURM_JOB_ID": str(1000 * job.array + job.task),
            "SLURM_ARRAY_JOB_ID": str(job.array),
            "SLURM_ARRAY_TASK_ID": str(job.task),
            "SLURMD_NODENAME": node.name,
            "SLURM_JOB_START_TIME": str(int(EPOCH + now)),
            "SLURM_JOB_END_TIME": str(int(EPOCH + now + job.limit)),
            BEGAN: str(int(EPOCH + now + node.skew)),  # the batch script's doing
        }
        job.process = process = self.kernel.start(node, job.script, environ, f"job {job.name}")
        process.when_over.append(lambda: self._over(job, process))
        attempt = len(job.attempts)

        def limit() -> None:
            if job.state == "RUNNING" and len(job.attempts) == attempt:
                self.stop(job, "TIMEOUT")

        self.kernel.at(now + job.limit + 5, limit)

    def members(self, job: Job) -> list[Process]:
        """A job's processes."""
        return [
            p
            for p in self.kernel.processes
            if p.node is job.node
            and p.environ.get("SLURM_ARRAY_JOB_ID") == str(job.array)
            and p.environ.get("SLURM_ARRAY_TASK_ID") == str(job.task)
        ]

    def stop(self, job: Job, state: str, *, again: bool = False, first: int = 0) -> None:
        """End a job: a signal, and some time later the end of whatever is left."""
        if job.state != "RUNNING":
            return
        if not first:  # else it may put itself back into the queue meanwhile
            job.going, job.again = state, again
        attempt = len(job.attempts)
        for process in self.members(job):
            if process is job.process or not first:
                self.kernel.signal(process, first or signal.SIGTERM)

        def finish() -> None:
            if job.state == "RUNNING" and len(job.attempts) == attempt and job.process:
                if not job.going:
                    job.going, job.again = state, again
                self.kernel.kill(job.process)

        self.kernel.at(self.kernel.now + KILL_WAIT * (2 if first else 1), finish)

    def _over(self, job: Job, process: Process) -> None:
        now, attempt = self.kernel.now, job.attempts[-1]
        for other in self.members(job):
            if other is not process:
                self.kernel.kill(other)
        status = process.status or 0
        state = job.going or ("COMPLETED" if status == 0 else "FAILED")
        if job.ooms:
            text = f"slurmstepd: error: Detected {job.ooms} oom_kill event in StepId={job.name}\n"
            self.log(job.name, text)
            state = "OUT_OF_MEMORY" if state == "FAILED" else state
            job.ooms = 0
        attempt.state, attempt.ended = state, now
        attempt.code = f"{status}:0" if status >= 0 else f"0:{-status}"
        if job.again:
            job.state, job.reason, job.not_before = "PENDING", "BeginTime", now + 20
            self.kernel.at(now + 21, self.place)
        else:
            job.state = state
        self.kernel.note(f"{job.name} is over: {state}{', again' if job.again else ''}")
        self.kernel.at(now + 1, self.place)

    # --- its commands -----------------------------------------------------------------------

    def run(self, command: list[str]) -> Reply:
        """What a command prints, says, and how late."""
        kernel = self.kernel
        late = 0.1 + kernel.fraction() * (0.3 + self.slow)
        if self.away > kernel.now:
            kernel.struck[f"controller away ({self.how})"] += 1
            if self.how == "refuses":
                return Reply(kernel, "", AWAY[int(3 * kernel.fraction())], 1, late)
            if self.how == "answer lost" and command[0] == "scontrol":
                self._control(command)
            return Reply(kernel, "", "", 0, 1e9)
        if command[0] == "squeue":
            return Reply(kernel, self._squeue(asked(command)), "", 0, late)
        if command[0] == "sacct":
            return Reply(kernel, self._sacct(asked(command)), "", 0, late)
        if command[0] == "scontrol":
            words = self._control(command)
            return Reply(kernel, "", words, 1 if words else 0, late)
        raise AssertionError(command)

    def _control(self, command: list[str]) -> str:
        assert command[1] == "requeue", command
        job = next(j for j in self.jobs if j.name == command[2])
        if job.state != "RUNNING" or job.going:
            return f"Job is pending execution for job {job.name}"
        job.going, job.again = "REQUEUED", True
        process = job.process

        def finish() -> None:
            if process is not None and job.process is process:
                self.kernel.kill(process)

        self.kernel.at(self.kernel.now + 1.0, finish)
        return ""

    def _squeue(self, arrays: set[int]) -> str:
        lines, now = [], self.kernel.now
        for job in self.jobs:
            if job.array not in arrays:
                continue
            ended = job.state not in ("PENDING", "RUNNING")
            if ended and now - job.attempts[-1].ended > REMEMBERED:
                continue
            took = now - job.attempts[-1].began if job.state == "RUNNING" else 0
            clock = f"{int(took) // 3600}:{int(took) // 60 % 60:02d}:{int(took) % 60:02d}"
            node = job.node.name if job.state == "RUNNING" and job.node else ""
            state = "COMPLETING" if job.state == "RUNNING" and job.going else job.state
            lines.append(f"{job.array}|{job.task}|{state}|{node}|{clock}|N/A|{job.reason}")
        return "\n".join(lines)

    def _sacct(self, arrays: set[int]) -> str:
        lines, now = [], self.kernel.now
        for job in self.jobs:
            if job.array not in arrays:
                continue
            for one in job.attempts:
                known = one.ended and now - one.ended > self.lag
                state = one.state if known else "RUNNING"
                took = int((one.ended if known else now) - one.began)
                minutes = int(job.limit / 60)
                code = one.code if known else "0:0"
                lines.append(f"{job.name}|{state}|{took}|{minutes}|cpu=1|{one.node}|{code}")
            if job.state == "PENDING":
                lines.append(f"{job.name}|PENDING|0|{int(job.limit / 60)}||None assigned|0:0")
        return "\n".join(lines)


def asked(command: list[str]) -> set[int]:
    """The arrays that a command names."""
    listed = next(word for word in command if word.startswith("--jobs="))
    return {int(number) for number in listed.removeprefix("--jobs=").split(",") if number}


class Reply:
    """A command of SLURM as ``Popen`` gives it."""

    def __init__(self, kernel: Kernel, out: str, err: str, code: int, late: float) -> None:
        self._kernel, self._out, self._err, self._due = kernel, out, err, kernel.now + late
        self.returncode, self.pid = code, 1

    def asked(self, timeout: float) -> bool:
        """Whether it has to be asked again: it did not answer, or with an error."""
        try:
            self.communicate(timeout)
        except subprocess.TimeoutExpired:
            return True
        return bool(self.returncode) and "pending" not in self._err

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        fiber = self._kernel.current
        assert fiber is not None
        self._kernel.op()
        if timeout is not None and self._due > self._kernel.now + timeout:
            self._kernel.wait(fiber, self._kernel.now + timeout)
            raise subprocess.TimeoutExpired("slurm", timeout)
        if timeout is not None and self._due > self._kernel.now:
            self._kernel.wait(fiber, self._due)
        return self._out, self._err
