"""``local``: worker processes on this machine, which outlive the one that submits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.launch.place import Order, Started
from cluster.launch.snapshot import snapshot
from cluster.status import watching
from cluster.tracking import start_shipper, take_over
from cluster.work import ProcessId, Queue, cap_reached, last_words, outlook, work
from scaling.base import Store, WorkError, note

WORKERS_LOG = "workers.log"  # what is no worker's own: submitit's words on starting and ending one
FOREVER = 60 * 24 * 366  # minutes: submitit's local executor wants a limit


@dataclass(frozen=True)
class Local:
    """Worker processes through submitit's local executor."""

    order: Order

    @staticmethod
    def taken(store: Store, name: str, *, release: bool) -> set[str]:
        """None: whoever else works on a run holds its lease."""
        return set()

    @classmethod
    def plan(cls, order: Order) -> Local:
        """Any order can be done."""
        return cls(order)

    def start(self) -> Started:
        """Start the workers, and what ships their journals."""
        order = self.order
        queue = order.new_queue()
        queue.write()
        workers = self._start_workers(queue)
        job_ids = tuple(str(worker.job_id) for worker in workers)
        queue.with_processes([ProcessId.of(int(job_id)) for job_id in job_ids]).write()
        shipper = start_shipper(order.store, order.sweep.name, order.uri)
        return Started(job_ids, (queue,), tuple(workers), shipper)

    def wait(self, started: Started) -> None:
        """Show the progress until the workers have ended; deliver what they wrote.

        Raises
        ------
        WorkError
            If the workers ended with runs left undone.
        KeyboardInterrupt
            After Ctrl-C; the workers were asked to checkpoint and stop, and have.
        """
        order = self.order
        try:
            with watching(order.store, order.sweep.name):
                while not all(_has_ended(worker) for worker in started.workers):
                    time.sleep(0.2)
        except KeyboardInterrupt:
            _stop(started.workers)
            order.say_how_to_go_on()
            raise
        assert started.shipper is not None
        take_over(order.store, order.sweep, order.uri, started.shipper)
        self._check_all_done(started)

    def _start_workers(self, queue: Queue) -> list[Any]:
        import submitit

        most = self.order.workers
        workers = most if queue.search else min(most, len(queue.tasks))
        store, name, resources = self.order.store, self.order.sweep.name, self.order.resources
        threads = str(resources.threads)
        executor = submitit.AutoExecutor(folder=store.sweep_dir(name) / "logs", cluster="local")
        executor.update_parameters(name=name, timeout_min=FOREVER)
        # submitit's local executor hides all GPUs; workers share what this process sees.
        environment = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES")}
        arguments = (str(store.root), name, str(queue.path), resources, environment)
        variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if self.order.plugins:
            code = snapshot(store.sweep_dir(name), self.order.plugins, ours=False)
            paths = (str(code), os.environ.get("PYTHONPATH", ""))
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        log = store.sweep_dir(name) / "logs" / WORKERS_LOG
        with (
            _variables(**variables),
            _signals_ignored(),
            _streams_to(log),
        ):
            return [executor.submit(work, *arguments) for _ in range(workers)]

    def _check_all_done(self, started: Started) -> None:
        store, name = self.order.store, self.order.sweep.name
        queue = Queue.read(started.queues[0].path)  # a search may have added some
        run_ids = list(queue.run_ids)
        left = [run_id for run_id in run_ids if queue.is_open(store, run_id)]
        if left and (why := cap_reached(store, name, self.order.policy)):
            raise WorkError(why)
        if left:
            logs = store.sweep_dir(name) / "logs"
            words = {last_words(logs, job_id) for job_id in started.job_ids}
            raise WorkError(
                f"the workers ended with {len(left)} of {len(run_ids)} runs left "
                f"({'; '.join(sorted(words))}): submit again to go on, logs are in {logs}"
            )
        if queue.search and (seen := outlook(store, name)) and not (seen.end or queue.is_stopped):
            raise WorkError("the workers ended, and the search has not: submit again to go on")


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
def _streams_to(log: Path) -> Iterator[None]:
    """Let processes that are started meanwhile hold none of this one's streams.

    submitit's controllers inherit them, and whoever reads our output through a pipe would wait
    for the end of the last.
    """
    before = {}
    for number in range(3):
        with contextlib.suppress(OSError):  # one that is closed stays so
            before[number] = os.dup(number)
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for number in before:
            os.dup2((output if number else nothing).fileno(), number)
        try:
            yield
        finally:
            for number, copy in before.items():
                os.dup2(copy, number)
                os.close(copy)


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


def _stop(workers: tuple[Any, ...]) -> None:
    """Ask workers to stop until they have."""
    note("stopping the workers; they write their checkpoints ...")
    while not all(worker.done() for worker in workers):
        for worker in workers:
            if not worker.done():
                os.kill(int(worker.job_id), signal.SIGTERM)
        time.sleep(0.5)


def _has_ended(worker: Any) -> bool:
    """Whether a worker has its result, and its process, which ends a little later, is gone."""
    return bool(worker.done()) and not ProcessId.of(int(worker.job_id)).started
