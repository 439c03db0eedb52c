"""A sweep from its submission to its last result in a simulated world, and what must hold of it."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import random
import warnings
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from cluster.slurm import GO_ON
from cluster.status import sweep_status
from cluster.tracking.shipper import follow_alone, start_shipper
from cluster.work import ProcessId, Queue, count_ends, lease, ledger, make_tasks, trunks
from cluster.work.array_task import work_in_slurm
from cluster.work.foreman import take_turn
from cluster.work.shift import Shift
from cluster.work.worker import run_queue, stop_on_signals
from scaling.base import Store, WorkError
from scaling.run import archive, end, read_journal, sweep_path
from scaling.spec import RunSpec
from scaling.tracking import DeletedError, TrackingError
from scaling.world import os, signal, subprocess, time, within
from sweeps import Resources
from sweeps.sweep import Sweep
from tests.simulator import files
from tests.simulator.checks import check_end, check_left, check_status
from tests.simulator.disk import ROOT, Disk, Inode
from tests.simulator.faults import FAULTS, Fault, plan
from tests.simulator.files import SimPath
from tests.simulator.kernel import Kernel, Node
from tests.simulator.modules import Popen, make_world
from tests.simulator.pure import remembering
from tests.simulator.slurm import Slurm
from tests.simulator.tracking import SimTracker, StoreServer
from tests.simulator.trainer import Holders, make_trainer

NAME, URI = "s", "http://store"
QUIET = 300.0  # nothing strikes from then on
LAST = 7200.0  # by then all must be done
KNOWN = (  # what a process remembers of a disk, by names that are the same in every simulation
    lease._OFFSETS.clear,
    ledger._CLOSED.clear,
    trunks._branches.cache_clear,
    archive._runs_in.cache_clear,
    archive._open.cache_clear,
)

SPEC: dict[str, Any] = {
    "family": "transformer",
    "model": {"depth": 1, "width": 8, "heads": 1, "mlp_width": 32, "vocab_size": 256}
    | {"context": 32},
    "data": {"data": "tiny", "fingerprint": "8cfa5cf92235ccf0"},
    "optim": {"lr": 0.01},
    "schedule": {"schedule": "wsd", "cooldown_fraction": 0.34},
    "train": {"num_tokens": 4 * 128, "batch_size": 4},
    "schema_version": 1,
}


@cache
def sweep_of(shape: tuple[tuple[int, int], ...]) -> Sweep:
    """Runs by seed and by their size in units; those of one seed share a trunk."""
    specs = []
    for seed, size in shape:
        train = {**SPEC["train"], "num_tokens": 4 * 128 * size}
        specs.append(RunSpec.from_dict({**SPEC, "train": train, "seed": seed}))
    return Sweep.of(NAME, specs)


@cache
def lines_of(shape: tuple[tuple[int, int], ...]) -> str:
    return sweep_of(shape).to_jsonl()


SHAPES = (((0, 1),), ((0, 1), (1, 1)), ((0, 1), (0, 2)), ((0, 1), (1, 1), (1, 2)))


@dataclass(frozen=True)
class Schedule:
    """What a simulation is of: a seed for what always varies, and the faults."""

    seed: int
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, seed: int, kinds: tuple[str, ...] = ()) -> Schedule:
        """The schedule of a seed; with ``kinds``, of these faults alone."""
        return cls(seed, plan(seed, QUIET, kinds))

    def __str__(self) -> str:
        return f"seed {self.seed}, {len(self.faults)} faults:\n" + "\n".join(
            f"  {fault}" for fault in self.faults
        )


@dataclass
class Result:
    """What came of a schedule."""

    violations: list[str]
    struck: dict[str, int]
    hours: float
    log: list[str] = field(default_factory=list)


class Simulation:
    """One schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        choose = random.Random(schedule.seed)
        self.kernel = Kernel(schedule.seed, self._world)
        kernel = self.kernel
        self.disk = Disk(kernel, schedule.seed)
        cached = choose.choice([0.0, 3.0, 30.0, 60.0])
        skews = choose.choice([(0, 0, 0), (-300, 40, 0), (3600, -3600, 900), (5, -5, 0)])
        least = choose.choice([4.0, 6.0, 8.0])
        self.login, *self.nodes = (
            Node(name, skew=skew, cached=cached, least=least, pids=10)
            for name, skew in zip(("login", "n1", "n2"), skews, strict=True)
        )
        self.slurm = Slurm(kernel, self.nodes, self._job_log)
        self.server = StoreServer(kernel)
        self.holders = Holders(kernel)
        self.store = Store(SimPath(ROOT))
        self.shape = choose.choice(SHAPES)
        self.sweep = sweep_of(self.shape)
        self.on_slurm = choose.random() < 0.6
        self.step_seconds = choose.choice([6.0, 12.0, 24.0])
        self.minutes = choose.choice([None, 3.0, 5.0, 30.0])
        self.workers = choose.choice([1, 1, 2])
        self.ships = choose.random() < 0.4
        self.train = make_trainer(kernel, self.holders, self.step_seconds)
        self.over = False
        self.submissions = 0
        self.removed: set[str] = set()
        for folder in ("runs", "trunks", f"sweeps/{NAME}/logs", f"sweeps/{NAME}/submissions"):
            self._put(f"{ROOT}/{folder}", None)
        text = lines_of(self.shape)
        self.rows = [json.loads(line) for line in text.splitlines()]
        self._put(str(sweep_path(self.store, NAME)), text)

    def _put(self, path: str, text: str | None) -> None:
        """Something that has been on the disk since long ago; a folder for None."""
        inode = self.disk.root
        for name in path.split("/")[1:]:
            assert inode.names is not None
            inode = inode.names.setdefault(name, Inode(names={}))
        if text is not None:
            inode.names, inode.data = None, bytearray(text.encode())

    def _job_log(self, job: str, text: str) -> None:
        path = f"{ROOT}/sweeps/{NAME}/logs/{job}_0_log.err"
        known = self.disk.find(path)
        self._put(path, (known.data.decode() if known else "") + text)

    def _world(self, kernel: Kernel) -> Any:
        return make_world(kernel, lambda: self.disk, self._command)

    def _command(self, command: list[str], environ: Any) -> Any:
        """What ``Popen`` starts."""
        if command[0] in ("squeue", "sacct", "scontrol"):
            return self.slurm.run(command)
        me = self.kernel.op()
        gone: list[bool] = []
        if command[2] == "cluster.work.foreman":
            told = json.loads(command[3])

            def work() -> int:
                with stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as stop:
                    asked = lambda: stop() or bool(gone)  # noqa: E731
                    return take_turn(told, asked, self.train, capture=False)

            process = self.kernel.start(me.node, work, dict(environ), "worker")
            me.when_over.append(lambda: gone.append(True))
        else:
            assert command[2] == "cluster.tracking"
            process = self.kernel.start(me.node, self._ship, {}, "shipper")
        return Popen(self.kernel, process, gone)

    # --- the processes ----------------------------------------------------------------------

    def _ship(self) -> int:
        connect = self._tracker
        try:
            follow_alone(NAME, root=self.store.root, tracking_uri=URI, connect=connect)
        except (ValueError, OSError, DeletedError):
            return 1
        return 0

    def _tracker(self, uri: str, name: str) -> SimTracker:
        tracker = SimTracker(uri, name)
        tracker.server = self.server
        return tracker

    def _local(self, path: Any) -> int:
        with stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop:
            turn = run_queue(
                self.store, NAME, Queue.read(path), Resources(), stop, shift=Shift(),
                train=self.train,
            )  # fmt: skip
        return 0 * turn.done

    def _user(self) -> int:
        """Somebody who submits, looks now and then, and submits again what nobody does."""
        store, rows = self.store, self.rows
        while True:
            try:
                status = sweep_status(NAME, store.root, rows=rows)
                check_status(self, status)
                if len(status.in_state("done")) == len(rows):
                    break
                if not status.is_live and not status.problem:
                    self._submit()
            except (OSError, WorkError) as error:
                self.kernel.note(f"the user is told: {error}")
            time.sleep(45.0)
        while any(process.kind != "shipper" for process in self.kernel.processes[1:]):
            time.sleep(45.0)  # who sleeps may wake up and find that all is done
        if self.ships:
            time.sleep(self.login.cached + 1)  # until it sees what there is
            self._deliver()
        self.over = True
        return 0

    def _deliver(self) -> None:
        """``scaling sync`` until it says that all is there."""
        for _ in range(20):
            try:
                self._ship()
                tracker = self._tracker(URI, NAME)
                dirs = [self.store.run_dir(entry.run_id) for entry in self.sweep]
                if all(tracker.is_delivered(one) for one in dirs):
                    return
            except (OSError, TrackingError) as error:
                self.kernel.note(f"sync: {error}")
            time.sleep(100.0)
        self.kernel.violations.append("the tracking store never got everything")

    def _submit(self) -> None:
        store, kernel = self.store, self.kernel
        ends = {}
        for entry in self.sweep:
            events = read_journal(store.run_dir(entry.run_id))
            last = end(events)
            if last is None or last["status"] != "done":
                ends[entry.run_id] = count_ends(events)
        tasks = make_tasks((e.run_id, e.spec) for e in self.sweep if e.run_id in ends)
        queue = replace(
            Queue.new(store.sweep_dir(NAME), [task.run_ids for task in tasks], ends),
            workers=self.workers,
            resources=Resources(
                minutes=self.minutes if self.on_slurm else None,
                cpus=2,
                side_by_side=self.workers,
                checkpoint_seconds=self.step_seconds * 1.5,
            ).to_dict(),
        )
        queue.write()
        self.submissions += 1
        kernel.note(f"submission {self.submissions}: {', '.join(ends)}")
        if self.on_slurm:
            if self.slurm.away > kernel.now:
                raise WorkError("sbatch: no controller")
            script = partial(self._job, queue.path)
            limit = 60 * (self.minutes or 60.0)
            number = self.slurm.submit([script] * min(2, len(tasks)), limit)
            replace(queue, slurm_jobs=(number,)).write()
        else:
            me = kernel.op()
            started = [
                kernel.start(me.node, partial(self._local, queue.path), {}, "worker")
                for _ in range(self.workers)
            ]
            queue.with_processes([ProcessId.of(process.pid) for process in started]).write()
        if self.ships:
            start_shipper(store, NAME, URI)

    def _job(self, path: Any) -> int:
        try:
            work_in_slurm(self.store.root, NAME, path, None)
            check_left(self, path)
        except SystemExit as error:
            if error.code != GO_ON:
                raise
            return self._back_into_the_queue()
        except WorkError as error:
            self.kernel.note(f"job {os.environ['SLURM_JOB_ID']}: {error}")
            self._job_log(
                f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}",
                f"{error}\n",
            )
            return 1
        return 0

    def _back_into_the_queue(self) -> int:
        """What the batch script does as long as the job lives."""
        name = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        while subprocess.Popen(["scontrol", "requeue", name]).asked(20.0):
            time.sleep(5.0)
        time.sleep(60.0)
        return GO_ON

    # --- the run ----------------------------------------------------------------------------

    def run(self) -> Result:
        kernel = self.kernel
        for forget in KNOWN:
            forget()
        files.ACTIVE.append(self.disk)
        said = io.StringIO()
        gc.disable()  # which would look at all that torch has, again and again
        try:
            with contextlib.redirect_stderr(said), warnings.catch_warnings(), remembering():
                warnings.simplefilter("ignore")
                kernel.start(self.login, self._user, {}, "user")
                for fault in self.schedule.faults:
                    kernel.at(fault.when, partial(FAULTS[fault.kind], self, fault))
                kernel.run(LAST, lambda: self.over or bool(kernel.violations))
                if not kernel.violations:
                    with within(kernel.world):
                        self._quietly(partial(check_end, self))
                hours = kernel.now / 3600
                kernel.end_all()
        finally:
            files.ACTIVE.pop()
            gc.enable()
        return Result(kernel.violations, dict(kernel.struck), hours, kernel.log)

    def _quietly(self, check: Any) -> None:
        """Look at the disk as a process on a fresh node would."""
        kernel = self.kernel
        for process in list(kernel.processes):
            kernel.kill(process)
        kernel.start(Node("judge"), check, {}, "judge")
        kernel.run(kernel.now + 1e6, lambda: not kernel.processes)


def simulate(schedule: Schedule | int) -> Result:
    """Run a schedule, or the one of a seed."""
    if isinstance(schedule, int):
        schedule = Schedule.of(schedule)
    return Simulation(schedule).run()


def shrink(schedule: Schedule, fails: Any = None) -> Schedule:
    """As few of a failing schedule's faults as still make it fail (delta debugging)."""
    fails = fails or (lambda one: bool(simulate(one).violations))
    faults, size = list(schedule.faults), len(schedule.faults)
    while size >= 1:
        start = 0
        while start < len(faults):
            fewer = faults[:start] + faults[start + size :]
            if fails(replace(schedule, faults=tuple(fewer))):
                faults = fewer
            else:
                start += size
        size //= 2
    return replace(schedule, faults=tuple(faults))
