"""A SLURM job as a crew: a light foreman that trains nothing, and workers side by side.

The foreman starts one worker, learns from its first run how much memory one takes, and starts
as many more as fit. It outlives what kills a worker (out of memory, kill -9) and starts
another; it passes signals on; when time runs out it puts the job back into SLURM's queue. The
workers take run after run, so that Python, CUDA and data start once a worker and not once a run.

How a worker ends: 0, nothing is left for it; ``SHORT_OF_TIME``, what is left takes longer than
the job has; ``FULL``, there is no space to write to, nor for another worker; anything else is a
death.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from cluster.slurm import FULL
from cluster.work.causes import out_of_memory
from cluster.work.logs import job_log
from cluster.work.submission import Queue
from cluster.work.worker import Shift, run_queue, stop_on_signals
from scaling.base import Store, WorkError, is_full, note, read_json
from scaling.run import STATE, node_name, oom_kills, slurm_job
from sweeps import Resources

SHORT_OF_TIME = 3
LOOK_SECONDS = 0.5
STOP_LOOK_SECONDS = 2.0
LINGER_SECONDS = 120.0  # longer than a lease lives without its holder
MEASURE_AFTER = 20  # steps of the first run
ROOM = 1.25  # a later run may need more than the first one did so far
KILL_SECONDS = 10.0  # before the limit: what has not stopped by then is killed
MOST_DEATHS = 2  # in a row, of workers that got no run going: fewer than fail a run
REQUEUE_SECONDS = 20.0  # that one try to go back into the queue may take
AWAY = re.compile(r"contact|timed out|connection|transport", re.IGNORECASE)


def work_in_slurm(root: str, sweep: str, queue_path: str, task: int | None) -> int:
    """What an array task does: work on a queue until it is empty or the time is over.

    Returns the number of workers that it started. ``task`` is the one task of the queue that a
    job of its own is for.

    Raises
    ------
    WorkError
        If workers die without getting a run going, or the time is too short for any.
    """
    store, queue = Store.at(root), Queue.read(Path(queue_path))
    resources = Resources.from_dict(queue.resources)
    shift = _shift(resources, task)
    preempted = threading.Event()
    before = signal.signal(signal.SIGUSR2, lambda *_: preempted.set())
    try:
        with stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop:
            crew = Crew(store, sweep, queue, resources, shift, lambda: stop() or preempted.is_set())
            if resources.processes > 1:
                leads = _work_together(crew)
            else:
                crew.work()
                leads = True
            if not leads or stop() or queue.is_stopped:
                return crew.started
        if preempted.is_set() or crew.short_of_time:
            _go_on_later(store, queue, shift, crew)
    except OSError as error:
        _end_if_full(error)
        raise
    finally:
        signal.signal(signal.SIGUSR2, before)
    return crew.started


def _end_if_full(error: OSError) -> None:
    """End this process with an exit code that says so where a disk or quota is full.

    At once: that its logs cannot be flushed either would make it another code.
    """
    if is_full(error):
        with contextlib.suppress(OSError):
            note(f"{error}: nothing more can be written here")
        os._exit(FULL)


def _work_together(crew: Crew) -> bool:
    """Train in this process, with those that SLURM started beside it; whether it leads them."""
    from scaling.training import connect

    with connect(crew.store.root / "rendezvous", crew.resources.device) as team:
        if not team.leads:
            team.follow(crew.stop)
            return False
        turn = run_queue(
            crew.store,
            crew.sweep,
            crew.queue,
            replace(crew.resources, minutes=None),
            crew.stop,
            capture=True,
            shift=crew.shift,
            train=team.train,
        )
    crew.short_of_time = turn.short_of_time
    return True


def _shift(resources: Resources, task: int | None) -> Shift:
    """Until the job's limit, less what the last checkpoint takes."""
    linger = None if task is not None else LINGER_SECONDS
    ends = os.environ.get("SLURM_JOB_END_TIME")
    if resources.minutes is None and not ends:
        return Shift(linger_seconds=linger, task=task)
    limit = 60 * resources.minutes if resources.minutes else float(str(ends)) - time.time()
    at = float(ends) if ends else time.time() + limit
    return Shift(at - resources.margin, limit - resources.margin, linger, task)


def _go_on_later(store: Store, queue: Queue, shift: Shift, crew: Crew) -> None:
    """Put this job back into SLURM's queue if it left something to do."""
    tasks = queue.tasks if shift.task is None else [queue.tasks[shift.task]]
    left = [run_id for task in tasks for run_id in task if queue.is_open(store, run_id)]
    if not left:
        return
    if crew.short_of_time and not crew.got_going(crew.began):
        raise WorkError(
            f"no run got going in the time of this job: {len(left)} are left; raise minutes, or "
            "lower margin_seconds"
        )
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    note(f"{len(left)} runs are left: job {job} goes on later")
    until = max(time.time(), shift.until or 0.0) + crew.resources.margin - KILL_SECONDS
    while problem := _requeue(job):
        note(f"scontrol requeue {job}: {problem}")
        # Unless the controller is away: the scheduler, which pre-empts it, may have done so.
        if not AWAY.search(problem) or time.time() > until:
            return
        time.sleep(LOOK_SECONDS)


def _requeue(job: str) -> str:
    """Put a job back into SLURM's queue; why that failed, else nothing."""
    command = ["scontrol", "requeue", job]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=REQUEUE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"timed out after {REQUEUE_SECONDS:.0f} s"
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


@dataclass
class Worker:
    """One worker process and what it said of its memory."""

    process: subprocess.Popen[bytes]
    began: float
    memory: dict[str, float] = field(default_factory=dict)


@dataclass
class Crew:
    """The foreman's view of a job."""

    store: Store
    sweep: str
    queue: Queue
    resources: Resources
    shift: Shift
    stop: Callable[[], bool]
    started: int = 0
    short_of_time: bool = False
    began: float = field(default_factory=time.time)
    workers: dict[int, Worker] = field(default_factory=dict)

    def work(self) -> None:
        """Keep workers going until nothing is left for them, or this job has to end.

        Raises
        ------
        WorkError
            If they die one after another without getting a run going.
        """
        places, measured, deaths = 1, False, 0
        closed = 0  # places whose worker found nothing more to do
        looked, kills = 0.0, oom_kills()
        # What made SLURM kill them all goes alone now, and takes nobody with it.
        most = self.resources.most_side_by_side
        if out_of_memory(job_log(self._sweep_dir, slurm_job()), "slurmstepd"):
            most = 1
        try:
            while not self.stop() and not self._is_over():
                while len(self.workers) + closed < places:
                    place = next(i for i in count() if i not in self.workers)
                    self.workers[place] = self._start(place)
                time.sleep(LOOK_SECONDS)
                for place, status, since in self._ended():
                    self.short_of_time |= status == SHORT_OF_TIME
                    if status == FULL:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    if status in (0, SHORT_OF_TIME):
                        closed += 1
                        deaths = 0
                    else:
                        why = ""
                        if status == -signal.SIGKILL and oom_kills() > kills:
                            why, kills = ", killed by the kernel: out of memory", oom_kills()
                            if places > 1:  # one less, until only who is to blame is killed
                                places = most = places - 1
                        note(f"worker {place} ended with {status}{why}: another takes its place")
                        deaths = 0 if self.got_going(since) else deaths + 1
                        if deaths >= MOST_DEATHS:
                            raise WorkError(f"{deaths} workers died without getting a run going")
                first = self.workers.get(0)
                if not measured and first is not None and first.memory:
                    measured, places = True, min(most, self._places(first.memory))
                if not self.workers and closed >= places:
                    return
                if time.time() - looked > STOP_LOOK_SECONDS:
                    looked = time.time()
                    if self.queue.is_stopped:
                        return
            self.short_of_time |= self._is_over()
        finally:
            self._end_all()

    def got_going(self, since: float) -> bool:
        """Whether some run of the queue has made progress here since then."""
        here = (slurm_job(), node_name())
        for run_id in self.queue.run_ids:
            state = read_json(self.store.run_dir(run_id) / STATE) or {}
            if (state.get("job"), state.get("host")) == here and state["time"] > since:
                return True
        return False

    @property
    def _sweep_dir(self) -> Path:
        return self.store.sweep_dir(self.sweep)

    def _is_over(self) -> bool:
        return self.shift.until is not None and time.time() > self.shift.until

    def _start(self, place: int) -> Worker:
        self.started += 1
        arguments = {
            "root": str(self.store.root),
            "sweep": self.sweep,
            "queue": str(self.queue.path),
            "resources": self.resources.to_dict(),
            "shift": vars(self.shift),
        }
        threads = str(self.resources.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        if len(devices) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster.work.foreman", json.dumps(arguments)],
            stdin=subprocess.PIPE,  # its end tells the worker that the foreman is gone
            stdout=subprocess.PIPE,
            env=environment,
        )
        worker = Worker(process, time.time())
        threading.Thread(target=_listen, args=(worker,), daemon=True).start()
        return worker

    def _ended(self) -> list[tuple[int, int, float]]:
        """Places whose worker has ended, with its exit status and when it began."""
        ended = []
        for place, worker in list(self.workers.items()):
            status = worker.process.poll()
            if status is not None:
                _close(worker)
                del self.workers[place]
                ended.append((place, status, worker.began))
        return ended

    def _places(self, memory: dict[str, float]) -> int:
        """How many workers fit side by side if each takes ``memory`` (MB)."""
        most = self.resources.most_side_by_side
        limit = self.resources.memory_mb or _allocated_mb()
        if limit:
            most = min(most, int(limit / (ROOM * memory["rss"])))
        if memory.get("gpu"):
            devices = len(os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
            most = min(most, devices * int(memory["gpu_total"] / (ROOM * memory["gpu"])))
        most = max(1, most)
        used = ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items())
        note(f"the first run takes {used}: {most} side by side")
        return most

    def _end_all(self) -> None:
        """Ask all workers to checkpoint and end; kill what has not when time is over."""
        for worker in self.workers.values():
            worker.process.terminate()
        margin = self.resources.margin - KILL_SECONDS
        until = (self.shift.until or time.time()) + max(margin, 0.0)
        until = max(until, time.time() + KILL_SECONDS)
        for worker in self.workers.values():
            try:
                worker.process.wait(max(0.1, until - time.time()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            _close(worker)
        self.workers.clear()


def _allocated_mb() -> float:
    """Memory that SLURM gave this job on this node, in 2^20 bytes; 0 if it does not say."""
    for amount, times in (("SLURM_MEM_PER_NODE", ""), ("SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")):
        if os.environ.get(amount):
            return float(os.environ[amount]) * float(os.environ.get(times) or 1)
    return 0.0


def _listen(worker: Worker) -> None:
    """Take in what a worker says of its memory."""
    assert worker.process.stdout is not None
    with worker.process.stdout as lines:
        for line in lines:
            worker.memory.update(json.loads(line))


def _close(worker: Worker) -> None:
    if worker.process.stdin is not None:
        worker.process.stdin.close()


def main(argv: list[str]) -> int:
    """``python -m cluster.work.foreman ARGUMENTS``: one worker; see the module for how it ends."""
    arguments: dict[str, Any] = json.loads(argv[0])
    resources = Resources.from_dict(arguments["resources"])
    queue = Queue.read(Path(arguments["queue"]))
    # What runs print goes to their logs; this pipe is for the foreman alone.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    gone = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(gone,), daemon=True).start()
    with stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as stop:
        polls = 0

        def stop_and_measure() -> bool:
            nonlocal polls
            if "torch" in sys.modules and polls < MEASURE_AFTER:
                polls += 1
                if polls == MEASURE_AFTER:
                    print(json.dumps(_memory()), file=report, flush=True)
            return stop() or gone.is_set()

        try:
            turn = run_queue(
                Store.at(arguments["root"]),
                arguments["sweep"],
                queue,
                replace(resources, minutes=None),
                stop_and_measure,
                capture=True,
                shift=Shift(**arguments["shift"]),
            )
        except OSError as error:
            _end_if_full(error)
            raise
    return SHORT_OF_TIME if turn.short_of_time else 0


def _wait_for_end_of_input(gone: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    gone.set()


def _memory() -> dict[str, float]:
    """MB that this process has taken so far: of the machine, and of its GPU where it has one."""
    import resource

    import torch

    memory = {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        memory |= {"gpu": (total - free) / 2**20, "gpu_total": total / 2**20}
    return memory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
