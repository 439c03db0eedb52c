"""What must hold of a sweep in the simulated world, whatever strikes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster.work import Queue
from scaling.run import end, points, read_journal
from scaling.world import os
from tests.simulator.disk import ROOT
from tests.simulator.faults import journal_of
from tests.simulator.trainer import undisturbed

if TYPE_CHECKING:
    from tests.simulator.simulation import Simulation


def check_status(sim: Simulation, status: Any) -> None:
    """Every run that is not done, and that nobody does, has a state that says why."""
    if status.is_live or status.problem:
        return
    for run in status.runs:
        folder = sim.disk.find(f"{ROOT}/runs/{run.run_id}")  # which it may not know yet
        seen = sim.login.cached + 1
        begun = folder is not None and folder.since < sim.kernel.now - seen
        # Whose first line was cut off has never begun.
        begun = begun and (b"\n" in journal_of(folder) or "state.json" in folder.names)
        said = run.state in ("done", "planned") and not (run.state == "planned" and begun)
        said = said or run.state == "running"  # whose last sign of life is fresh
        if not said and (run.state in ("queued", "unknown") or not run.reason):
            sim.kernel.violations.append(f"nobody does a run: {run.state} {run.reason!r}")


def check_left(sim: Simulation, path: Any) -> None:
    """A job that leaves runs to nobody has asked for another turn as long as it could."""
    kernel, slurm = sim.kernel, sim.slurm
    task = os.environ["SLURM_ARRAY_TASK_ID"]
    job = next(j for j in slurm.jobs if j.name == f"{os.environ['SLURM_ARRAY_JOB_ID']}_{task}")
    ended = kernel.now > job.attempts[-1].began + job.limit - 25
    others = any(p.kind == "worker" for p in kernel.processes) or any(
        j.state in ("PENDING", "RUNNING")  # or its leases are fresh
        or any(attempt.ended > kernel.now - 25 for attempt in j.attempts)
        for j in slurm.jobs
        if j is not job
    )
    if job.going or ended or others or kernel.struck["node's clock set"]:
        return
    queue = Queue.read(path)
    for run_id in queue.run_ids:
        folder = sim.disk.find(f"{ROOT}/runs/{run_id}")
        text = journal_of(folder) if folder is not None else b""
        if text and b'"end"' not in text:
            kernel.violations.append(f"job {job.name} left run {run_id} to nobody")


def check_end(sim: Simulation) -> None:
    """Each run has its one result, that of the undisturbed one, and its whole curve."""
    wrong = sim.kernel.violations.append
    if not sim.over:
        alive = ", ".join(map(str, sim.kernel.processes))
        wrong(f"not all is done after {sim.kernel.now:.0f} s; there are {alive or 'none'}")
        return
    for entry in sim.sweep:
        run_dir = sim.store.run_dir(entry.run_id)
        events, expected = read_journal(run_dir), undisturbed(entry.spec)
        last = end(events)
        curve = {point["step"]: point["loss"] for point in points(events)}
        if last is None or last["status"] != "done":
            wrong(f"run {entry.run_id} has no result")
        elif last["loss"] != expected[max(expected)]:
            wrong(f"run {entry.run_id} has the loss {last['loss']}")
        done = [e for e in events if e["event"] == "end" and e["status"] == "done"]
        if len({e["loss"] for e in done}) > 1:
            wrong(f"run {entry.run_id} has {len(done)} results")
        lost = f"{run_dir}/metrics.jsonl" in sim.disk.overwritten
        if curve != expected and not (lost and curve.items() <= expected.items()):
            wrong(f"run {entry.run_id} has the curve {curve} and not {expected}")
        if sim.ships:
            check_shipped(sim, entry, curve, events[0]["time"])


def check_shipped(sim: Simulation, entry: Any, curve: dict[int, float], born: float) -> None:
    """The tracking store has a run once, each point once, and as finished."""
    wrong = sim.kernel.violations.append
    shelves = [
        shelf
        for shelf in sim.server.runs.values()
        if shelf.tags["scaling.run_id"] == entry.run_id and shelf.stage == "active"
    ]
    if entry.run_id in sim.removed:  # with it went the note of what the store has of it
        shelves = [s for s in shelves if s.tags["scaling.born"] == repr(born)]
    if len(shelves) != 1:
        wrong(f"the tracking store has run {entry.run_id} {len(shelves)} times")
        return
    shelf = shelves[0]
    rows = shelf.metrics.get("heldout/loss", set())
    if sorted((step, value) for step, value, _ in rows) != sorted(curve.items()):
        wrong(f"the tracking store has another curve of {entry.run_id}: {sorted(rows)}")
    if (shelf.status, shelf.tags.get("scaling.status")) != ("FINISHED", "done"):
        wrong(f"the tracking store has {entry.run_id} as {shelf.status}")
    if len(shelf.metrics.get("final/loss", ())) != 1:
        wrong(f"the tracking store has {shelf.metrics.get('final/loss')} for final/loss")
