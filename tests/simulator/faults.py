"""What strikes: each fault is a value, so that a schedule of them can be made smaller."""

from __future__ import annotations

import errno
import random
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulator.disk import ROOT, TEAR
from tests.simulator.kernel import Node, Process


class Fault(NamedTuple):
    """One fault.

    Attributes
    ----------
    when : float
        In seconds from the beginning.
    kind : str
        One of :data:`FAULTS`.
    who : float
        Which process, node or run, as a share of those that there are then.
    calls : int
        After how many calls of that process into the world, where it is one that strikes there.
    amount : float
        How long or how far, from 0 to 1.
    """

    when: float
    kind: str
    who: float
    calls: int
    amount: float

    def __str__(self) -> str:
        return (
            f"Fault({self.when:.3f}, {self.kind!r}, {self.who:.3f}, {self.calls}, "
            f"{self.amount:.3f})"
        )


def plan(seed: int, until: float, only: tuple[str, ...] = ()) -> tuple[Fault, ...]:
    """The faults of a seed, in bursts now and then; of all kinds, or of some ``only``."""
    draw = random.Random(f"faults of {seed}")
    kinds = list(only) or draw.sample(list(FAULTS), draw.randint(3, len(FAULTS)))
    # Half of all schedules are over after some minutes, and are to be struck before that.
    within = until * draw.choice([0.3, 0.6, 1.0])
    faults = []
    while len(faults) < draw.randint(8, 24):
        when = draw.uniform(5.0, within)
        for _ in range(draw.choice([1, 1, 1, 3])):
            calls = int(draw.choice([1, 10, 100]) * draw.random())
            faults.append(Fault(when, draw.choice(kinds), draw.random(), calls, draw.random()))
            when += 20 * draw.random()
    return tuple(sorted(faults))


Strike = Callable[[Any, Fault], None]


def victim(sim: Any, fault: Fault, *kinds: str) -> Process | None:
    """A process, by the fault's share of those that there are."""
    found = [p for p in sim.kernel.processes if p.kind.startswith(kinds or ("worker", "job", "sh"))]
    return found[int(fault.who * len(found))] if found else None


def node_of(sim: Any, fault: Fault) -> Node:
    nodes = [sim.login, *sim.nodes]
    return nodes[int(fault.who * len(nodes))]


def strike(sim: Any, fault: Fault, what: Callable[[Process], None], *kinds: str) -> None:
    """Do something to a process at one of its next calls into the world."""
    process = victim(sim, fault, *kinds)
    if process is None:
        return

    def now(one: Process) -> None:
        sim.kernel.struck[fault.kind] += 1
        sim.kernel.note(f"fault: {fault.kind} {one}")
        what(one)

    process.armed.append([fault.calls + 1, now])


def said(sim: Any, fault: Fault, what: object) -> None:
    sim.kernel.struck[fault.kind] += 1
    sim.kernel.note(f"fault: {fault.kind} {what}")


def kill(sim: Any, fault: Fault) -> None:
    strike(sim, fault, lambda one: _kill(sim, one))


def _kill(sim: Any, process: Process) -> None:
    from tests.simulator.kernel import Killed

    sim.kernel.kill(process)
    raise Killed


def kill_for_memory(sim: Any, fault: Fault) -> None:
    def oom(process: Process) -> None:
        process.node.oom_kills += 1
        array = process.environ.get("SLURM_ARRAY_JOB_ID")
        for job in sim.slurm.jobs:
            if str(job.array) == array and str(job.task) == process.environ["SLURM_ARRAY_TASK_ID"]:
                job.ooms += 1
        _kill(sim, process)

    strike(sim, fault, oom, "worker")


def tear(sim: Any, fault: Fault) -> None:
    process = victim(sim, fault)
    if process is not None:
        process.armed.append([10**9, TEAR])


def freeze(sim: Any, fault: Fault) -> None:
    strike(sim, fault, lambda one: sim.kernel.freeze(one, 5 + 400 * fault.amount**2))


def suspend(sim: Any, fault: Fault) -> None:
    """A whole node stands still, its monotonic clock too."""
    node, now = node_of(sim, fault), sim.kernel.now
    said(sim, fault, node.name)
    until = max(node.suspended, now + 5 + 300 * fault.amount**2)
    node.slept += until - max(node.suspended, now)
    node.suspended = until
    for process in sim.kernel.processes:
        if process.node is node:
            sim.kernel.freeze(process, until - now)


def lose_node(sim: Any, fault: Fault) -> None:
    node = sim.nodes[int(fault.who * len(sim.nodes))]
    said(sim, fault, node.name)
    sim.slurm.up[node.name] = sim.kernel.now + 10 + 100 * fault.amount
    node.boot += 1
    for job in sim.slurm.jobs:
        if job.node is node and job.state == "RUNNING":
            job.going, job.again = "NODE_FAIL", fault.amount < 0.7
    for process in [p for p in sim.kernel.processes if p.node is node]:
        sim.kernel.kill(process)


def jump(sim: Any, fault: Fault) -> None:
    """A node's clock is set."""
    node = node_of(sim, fault)
    node.skew += (1 if fault.calls % 2 else -1) * 10 ** (1 + 2.6 * fault.amount)
    said(sim, fault, node.name)


def jump_of_server(sim: Any, fault: Fault) -> None:
    sim.disk.skew += (1 if fault.calls % 2 else -1) * 15 * fault.amount
    said(sim, fault, "")


def fill_disk(sim: Any, fault: Fault) -> None:
    sim.disk.full = sim.kernel.now + 1 + 120 * fault.amount**2
    said(sim, fault, f"until {sim.disk.full:.0f}")


def deny(sim: Any, fault: Fault) -> None:
    """A node may not, or cannot, use the file system for a while."""
    node = node_of(sim, fault)
    why = (errno.EACCES, errno.EIO, errno.ESTALE)[fault.calls % 3]
    node.denied = (sim.kernel.now + 1 + 200 * fault.amount**2, why)
    said(sim, fault, f"{node.name} until {node.denied[0]:.0f}")


def truncate(sim: Any, fault: Fault) -> None:
    """The newest checkpoint of a run is cut off."""
    runs = sim.disk.find(f"{ROOT}/runs").names
    for run in [list(runs.values())[int(fault.who * len(runs))]] if runs else []:
        for name in sorted(n for n in run.names or {} if n.startswith("checkpoint"))[-1:]:
            data = run.names[name].data
            del data[int(len(data) * fault.amount) :]
            said(sim, fault, name)


def preempt(sim: Any, fault: Fault) -> None:
    """Room is made: the job gets a signal, or the scheduler puts it back itself."""
    running = [job for job in sim.slurm.jobs if job.state == "RUNNING"]
    if running:
        job = running[int(fault.who * len(running))]
        said(sim, fault, job.name)
        if fault.amount < 0.5:
            sim.slurm.stop(job, "PREEMPTED", again=True)
        else:
            sim.slurm.stop(job, "PREEMPTED", first=signal.SIGUSR2)


def cancel_job(sim: Any, fault: Fault) -> None:
    running = [job for job in sim.slurm.jobs if job.state == "RUNNING"]
    if running:
        job = running[int(fault.who * len(running))]
        said(sim, fault, job.name)
        sim.slurm.stop(job, "CANCELLED")


def controller_away(sim: Any, fault: Fault) -> None:
    sim.slurm.away = sim.kernel.now + 1 + 120 * fault.amount**2
    sim.slurm.how = ("silent", "answer lost", "refuses")[fault.calls % 3]
    said(sim, fault, sim.slurm.how)


def answers_late(sim: Any, fault: Fault) -> None:
    sim.slurm.slow, sim.slurm.lag = 30 * fault.amount, 120 * fault.amount
    said(sim, fault, "")


def store_away(sim: Any, fault: Fault) -> None:
    sim.server.away = sim.kernel.now + 5 + 200 * fault.amount**2
    said(sim, fault, "")


def store_loses_answers(sim: Any, fault: Fault) -> None:
    sim.server.losing = sim.kernel.now + 100 * fault.amount
    said(sim, fault, "")


def make_folder_anew(sim: Any, fault: Fault) -> None:
    """Somebody removes a run's folder while it is trained."""
    folders = sim.disk.find(f"{ROOT}/runs").names
    runs = [name for name, folder in folders.items() if b'"done"' not in journal_of(folder)]
    if runs:
        name = runs[int(fault.who * len(runs))]
        said(sim, fault, name)
        sim.removed.add(name)
        sim.disk.drop(folders, name)


def journal_of(folder: Any) -> bytes:
    return bytes(folder.names["metrics.jsonl"].data) if "metrics.jsonl" in folder.names else b""


def submit_again(sim: Any, fault: Fault) -> None:
    """A second terminal submits what is not done, while the first one's workers go on."""

    def submit() -> int:
        try:
            sim._submit()
        except (OSError, RuntimeError) as error:
            sim.kernel.note(f"second terminal: {error}")
        return 0

    said(sim, fault, "")
    sim.kernel.start(sim.login, submit, {}, "user 2")


FAULTS: dict[str, Strike] = {
    "kill": kill,
    "killed for memory": kill_for_memory,
    "killed in a write": tear,
    "process stopped": freeze,
    "node suspended": suspend,
    "node lost": lose_node,
    "node's clock set": jump,
    "server's clock set": jump_of_server,
    "disk full": fill_disk,
    "file system refuses a node": deny,
    "checkpoint truncated": truncate,
    "pre-empted": preempt,
    "job cancelled": cancel_job,
    "controller away": controller_away,
    "controller late": answers_late,
    "store away": store_away,
    "store's answers lost": store_loses_answers,
    "submitted twice": submit_again,
    "run's folder removed": make_folder_anew,
}
