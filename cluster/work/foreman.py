"""The foreman of a SLURM job: it trains nothing, and keeps workers going side by side.

The foreman starts one worker, learns from its first run how much memory one takes, and starts
as many more as fit. It outlives what kills a worker (out of memory, kill -9) and starts
another, and kills one that makes no step any more: its heartbeat is a thread, which lives on while
a disk or a device hangs. The workers take run after run, so that Python, CUDA and data start once a
worker and not once a run.

How a worker ends: 0, nothing is left for it; ``SHORT_OF_TIME``, what is left takes longer than
the job has; ``FULL`` and ``NO_DEVICE``, there is no space to write to or no GPU, nor for another
worker; anything else is a death.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from cluster.slurm import FULL, NO_DEVICE, STARVED
from cluster.work.causes import SLURM_DAEMON, out_of_memory
from cluster.work.logs import job_log
from cluster.work.memory import Meter
from cluster.work.progress import Progress
from cluster.work.shift import Shift
from cluster.work.stalled import say_stalled
from cluster.work.submission import Queue
from cluster.work.worker import MAX_DEATHS, Stop, Train, run_queue, stop_on_signals
from scaling import read_spec
from scaling.base import Store, WorkError, is_full, note, read_json
from scaling.run import STATE, node_name, oom_kills, read_rows, slurm_job
from scaling.world import os, path_at, signal, subprocess, threading, time
from sweeps import Resources
from sweeps.estimate import growth

SHORT_OF_TIME = 3
ENDINGS = {FULL: errno.ENOSPC, NO_DEVICE: errno.ENODEV}  # no other worker would do better
LOOK_SECONDS = 0.5
STOP_LOOK_SECONDS = 2.0
ROOM = 1.25  # a run may need more than one did so far
KILL_SECONDS = 10.0  # before the limit: what has not stopped by then is killed
MOST_DEATHS = 2  # in a row, of workers that got no run going: fewer than fail a run


def end_if_short(error: OSError) -> None:
    """End this process with an exit code that says so where a disk, memory or a GPU is missing.

    At once: that its logs cannot be flushed either would make it another code.
    """
    code = FULL if is_full(error) else CODES.get(error.errno or 0, 0)
    if code:
        with contextlib.suppress(OSError):
            note(f"{error}: {SHORT[code]}")
        os._exit(code)


CODES = {errno.ENOMEM: STARVED, errno.ENODEV: NO_DEVICE}
SHORT = {
    NO_DEVICE: "see setup and the node's driver; device: cpu trains without",
    FULL: "nothing more can be written here",
    STARVED: "the kernel killed worker after worker before any got a run going; raise memory",
}


@dataclass
class WorkerProcess(Progress):
    """One worker process, and what it said of its memory, its run, and of getting on."""

    process: subprocess.Popen[bytes]
    began: float
    memory: dict[str, float] = field(default_factory=dict)

    def hear(self, said: dict[str, Any]) -> None:
        """Take in one line of the worker's."""
        if "run" in said:
            self.begin(said["run"])
        elif "memory" in said:
            self.memory.update(said["memory"])
            self.heard = time.monotonic()
        else:
            self.step()


@dataclass
class Foreman:
    """Who keeps the workers of one job going."""

    store: Store
    sweep: str
    queue: Queue
    resources: Resources
    shift: Shift
    stop: Callable[[], bool]
    started: int = 0
    short_of_time: bool = False
    left_hanging: bool = False
    began: float = field(default_factory=lambda: time.time())
    workers: dict[int, WorkerProcess] = field(default_factory=dict)

    def work(self) -> None:
        """Keep workers going until nothing is left for them, or this job has to end.

        Raises
        ------
        WorkError
            If they die one after another without getting a run going.
        OSError
            If there is no space to write to, or no memory for a worker alone (``ENOMEM``).
        """
        places, measured, deaths = 1, False, Deaths()
        closed = 0  # places whose worker found nothing more to do
        looked = 0.0
        # What made SLURM kill them all goes alone now, and takes nobody with it.
        most = self.resources.most_side_by_side
        if out_of_memory(job_log(self._sweep_dir, slurm_job()), SLURM_DAEMON):
            most = 1
        try:
            while not self.stop() and not self._is_over():
                while len(self.workers) + closed < places:
                    place = next(i for i in count() if i not in self.workers)
                    self.workers[place] = self._start(place)
                time.sleep(LOOK_SECONDS)
                if self._end_hanging() and self.shift.task is not None:
                    return  # its one run goes on elsewhere
                ended = self._ended()
                starved = any(status == -signal.SIGKILL for _, status, _ in ended)
                starved = starved and deaths.kernel_has_killed()
                for place, status, since in ended:
                    self.short_of_time |= status == SHORT_OF_TIME
                    if status in ENDINGS:
                        raise OSError(ENDINGS[status], os.strerror(ENDINGS[status]))
                    if status in (0, SHORT_OF_TIME):
                        closed += 1
                        deaths.forget()
                        continue
                    for_memory = starved and status == -signal.SIGKILL
                    why = ", killed by the kernel: out of memory" if for_memory else ""
                    note(f"worker {place} ended with {status}{why}: another takes its place")
                    deaths.count(self, since, for_memory=for_memory, alone=places == 1)
                    if for_memory and places > 1:  # one less, until who is to blame is alone
                        places = most = places - 1
                        closed = min(closed, places - 1)  # there is a place for its run
                first = self.workers.get(0)
                if not measured and first is not None and first.memory:
                    measured, places = True, min(most, self._places(first.memory, first.run_id))
                if not self.workers and closed >= places:
                    return
                if time.time() - looked > STOP_LOOK_SECONDS:
                    looked = time.time()
                    if self.queue.is_stopped:
                        return
            self.short_of_time |= self._is_over()
        finally:
            self._end_all()

    def open_runs(self) -> int:
        """How many runs of the queue are still to be done."""
        return sum(self.queue.is_open(self.store, run_id) for run_id in self.queue.run_ids)

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

    def _start(self, place: int) -> WorkerProcess:
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
        if len(devices) > 1 and not self.resources.is_alone:
            environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster.work.foreman", json.dumps(arguments)],
            stdin=subprocess.PIPE,  # its end tells the worker that the foreman is gone
            stdout=subprocess.PIPE,
            env=environment,
        )
        worker = WorkerProcess(process, time.time())
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

    def _places(self, memory: dict[str, float], run_id: str | None = None) -> int:
        """How many workers fit side by side if each takes ``memory`` (MB), as a run's worker does.

        On a CPU, and the more as later runs are larger.
        """
        most = self.resources.most_side_by_side
        limit = self.resources.memory_mb or _allocated_mb()
        if limit and run_id and "gpu" not in memory:
            memory = {"rss": memory["rss"] * self._growth(run_id)}
        if limit:
            most = min(most, int(limit / (ROOM * memory["rss"])))
        if memory.get("gpu"):
            devices = len(os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
            most = min(most, devices * int(memory["gpu_total"] / (ROOM * memory["gpu"])))
        most = max(1, most)
        used = ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items())
        note(f"a run takes {used}: {most} side by side")
        return most

    def _growth(self, run_id: str) -> float:
        with contextlib.suppress(OSError, ValueError):  # workers say what is wrong with the file
            specs = [read_spec(row["spec"]) for row in read_rows(self.store, self.sweep)]
            return growth(self.store, specs, run_id, self.queue.run_ids)
        return 1.0

    def _end_hanging(self) -> bool:
        """Kill workers that make no step any more, whatever their threads say; whether any was."""
        found = False
        for worker in self.workers.values():
            silence = worker.silence(self.resources.silent_minutes)
            if not silence or worker.process.poll() is not None:
                continue
            reason = worker.reason(silence)
            note(f"{worker.run_id or 'a worker without a run'}: {reason}: killed")
            worker.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel waits
                worker.process.wait(KILL_SECONDS)
            found = self.left_hanging = True
            if worker.run_id:
                say_stalled(self.store.run_dir(worker.run_id), worker.since, reason)
        return found

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
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(KILL_SECONDS)
            _close(worker)
        self.workers.clear()


@dataclass
class Deaths:
    """Workers that died in a row without getting a run going; what killed them decides.

    A node that kills each worker has to be left. Want of memory is a run's fault, not the node's:
    the run's lease counts whom it takes with it and the run fails in the end. Only where the runs
    stay as they are, because a worker alone does not even come to begin one, the job must end.
    """

    by_node: int = 0
    for_memory: int = 0
    left: int = -1  # runs that were open at the last death for want of memory
    kills: int = field(default_factory=lambda: oom_kills())

    def kernel_has_killed(self) -> bool:
        """Whether the kernel has killed for want of memory since the last time it had."""
        before, self.kills = self.kills, oom_kills()
        return self.kills > before

    def forget(self) -> None:
        """After a worker that ended by itself."""
        self.by_node = self.for_memory = 0

    def count(self, foreman: Foreman, since: float, *, for_memory: bool, alone: bool) -> None:
        """Count one more death.

        Raises
        ------
        WorkError, OSError
            If these were too many.
        """
        if foreman.got_going(since):
            self.forget()
        elif not for_memory:
            self.by_node += 1
        elif alone:
            before, self.left = self.left, foreman.open_runs()
            self.for_memory = 1 + (self.for_memory if self.left == before else 0)
        if self.by_node >= MOST_DEATHS:
            raise WorkError(f"{self.by_node} workers died without getting a run going")
        if self.for_memory > MAX_DEATHS:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def _allocated_mb() -> float:
    """Memory that SLURM gave this job on this node, in 2^20 bytes; 0 if it does not say."""
    for amount, times in (("SLURM_MEM_PER_NODE", ""), ("SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")):
        if os.environ.get(amount):
            return float(os.environ[amount]) * float(os.environ.get(times) or 1)
    return 0.0


def _listen(worker: WorkerProcess) -> None:
    """Take in what a worker says."""
    assert worker.process.stdout is not None
    with worker.process.stdout as lines:
        for line in lines:
            worker.hear(json.loads(line))


def _close(worker: WorkerProcess) -> None:
    if worker.process.stdin is not None:
        worker.process.stdin.close()


def main(argv: list[str]) -> int:
    """``python -m cluster.work.foreman ARGUMENTS``: one worker; see the module for how it ends."""
    arguments: dict[str, Any] = json.loads(argv[0])
    # What runs print goes to their logs; this pipe is for the foreman alone.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    gone = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(gone,), daemon=True).start()
    with stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as stop:
        meter = Meter(report)

        def stop_and_measure() -> bool:
            meter.poll()
            return stop() or gone.is_set()

        return take_turn(arguments, stop_and_measure, meter.train)


def take_turn(
    arguments: Mapping[str, Any], stop: Stop, train: Train, *, capture: bool = True
) -> int:
    """Work as one of a foreman's workers; how that ends, as an exit code."""
    resources = Resources.from_dict(arguments["resources"])
    try:
        turn = run_queue(
            Store.at(arguments["root"]),
            arguments["sweep"],
            Queue.read(path_at(arguments["queue"])),
            replace(resources, minutes=None),
            stop,
            capture=capture,
            shift=Shift(**arguments["shift"]),
            train=train,
        )
    except OSError as error:
        end_if_short(error)
        raise
    return SHORT_OF_TIME if turn.short_of_time else 0


def _wait_for_end_of_input(gone: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    gone.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
