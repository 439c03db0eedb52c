"""How far a sweep is, from the runs' own folders; needs neither torch nor MLflow."""

from __future__ import annotations

import json
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.process import ProcessId
from cluster.queue import Queue, count_ends, live_queues
from scaling.journal import STATE, end, read_journal
from scaling.store import Store, read_json

STATES = ("done", "running", "queued", "planned", "stopped", "stalled", "failed", "diverged")
"""``planned``: nobody was asked to do it; ``queued``: a live worker will; ``stopped``: it was
asked to stop and is checkpointed; ``stalled``: its worker died or gives no sign of life."""

ENDED = ("done", "diverged", "failed")
STALL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run of a sweep as it stands.

    Attributes
    ----------
    state : str
        One of :data:`STATES`.
    reason : str
        Why it is in that state, where there is something to say.
    flops : float
        C of the whole run.
    step, num_tokens : int
        Tokens (examples) seen, and D.
    loss : float or None
        The last held-out loss.
    seconds : float or None
        Time that it trained so far.
    """

    run_id: str
    name: str
    state: str
    reason: str
    flops: float
    step: int
    num_tokens: int
    loss: float | None
    seconds: float | None

    @property
    def progress(self) -> float:
        """Share of its tokens seen, in [0, 1]."""
        if self.state in ("done", "diverged"):
            return 1.0
        return min(1.0, self.step / self.num_tokens) if self.num_tokens else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time to go at the pace so far; None for a run that does not run or has just begun."""
        if self.state != "running" or not self.step or not self.seconds:
            return None
        return self.seconds / self.step * (self.num_tokens - self.step)


@dataclass(frozen=True)
class SweepStatus:
    """All runs of a sweep as they stand."""

    name: str
    runs: tuple[RunStatus, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Runs by state, in the order of :data:`STATES`; states without a run are left out."""
        counted = Counter(run.state for run in self.runs)
        return {state: counted[state] for state in STATES if counted[state]}

    @property
    def flops_total(self) -> float:
        """Training FLOPs of all runs, each by itself."""
        return sum(run.flops for run in self.runs)

    @property
    def flops_done(self) -> float:
        """The share of these that is done, runs in progress by their tokens."""
        return sum(run.flops * run.progress for run in self.runs)

    def in_state(self, *states: str) -> list[RunStatus]:
        """The runs in one of ``states``."""
        return [run for run in self.runs if run.state in states]

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling status --json`` prints."""
        return {
            "name": self.name,
            "counts": self.counts,
            "flops_done": self.flops_done,
            "flops_total": self.flops_total,
            "runs": [
                {
                    "run_id": run.run_id,
                    "name": run.name,
                    "state": run.state,
                    "reason": run.reason,
                    "step": run.step,
                    "num_tokens": run.num_tokens,
                    "loss": run.loss,
                    "seconds_left": run.seconds_left,
                }
                for run in self.runs
            ],
        }


def read_rows(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a submitted sweep: ``run_id``, ``name``, ``spec`` and columns.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    """
    path = store.sweep_dir(name) / "sweep.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        known = sorted(p.parent.name for p in (store.root / "sweeps").glob("*/sweep.jsonl"))
        listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        raise ValueError(
            f"no sweep {name!r} under {store.root}: "
            + (f"there are {listed}" if known else "submit one first, or give its --root")
        ) from None
    return [json.loads(line) for line in lines if line.strip()]


def sweep_status(
    name: str,
    root: str | Path | None = None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    before: SweepStatus | None = None,
) -> SweepStatus:
    """How far the sweep ``name`` is.

    Parameters
    ----------
    name : str
    root : path, optional
    rows : list of dict, optional
        The sweep's lines, where the caller has read them.
    before : SweepStatus, optional
        An earlier answer: runs that were done or diverged then are not read again.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    """
    store = Store.at(root)
    rows = read_rows(store, name) if rows is None else rows
    known = {run.run_id: run for run in before.in_state("done", "diverged")} if before else {}
    queues = live_queues(store.sweep_dir(name))
    waiting = {run_id: queue for queue in queues for task in queue.tasks for run_id in task}
    runs = []
    for row in rows:
        run_id = row["run_id"]
        if run_id in known:
            runs.append(known[run_id])
        else:
            runs.append(_run_status(store.run_dir(run_id), row, waiting.get(run_id)))
    return SweepStatus(name, tuple(runs))


def _run_status(run_dir: Path, row: Mapping[str, Any], queue: Queue | None) -> RunStatus:
    record = read_json(run_dir / STATE) or {}
    state, reason = _state(run_dir, record, row["run_id"], queue)
    return RunStatus(
        run_id=row["run_id"],
        name=row["name"],
        state=state,
        reason=reason,
        flops=float(row["flops"]),
        step=int(record.get("step", 0)),
        num_tokens=int(row["num_tokens"]),
        loss=record.get("loss"),
        seconds=record.get("seconds"),
    )


def _state(
    run_dir: Path, record: Mapping[str, Any], run_id: str, queue: Queue | None
) -> tuple[str, str]:
    """The state of a run, and why."""
    state = record.get("state")
    if state == "done":
        return "done", ""
    if state == "running":
        alive, silence = _is_alive(record), time.time() - record["time"]
        if alive and silence < STALL_SECONDS:
            return "running", ""
        if alive:
            return "stalled", f"no sign of life for {silence:.0f} s"
    events = read_journal(run_dir)
    last = end(events)
    if last and last["status"] != "failed":
        return last["status"], str(last.get("reason") or "")
    if queue is not None and count_ends(events) <= queue.ends.get(run_id, 0):
        return "queued", ""
    if last:
        return "failed", str(last.get("reason") or "")
    if state == "stopped":
        return "stopped", "checkpointed; submit again to go on"
    if events or state:
        return "stalled", "its worker died; submit again to go on"
    return "planned", ""


def _is_alive(record: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a run's state may still run."""
    if record.get("host") != platform.node():
        return bool(time.time() - record["time"] < STALL_SECONDS)
    return ProcessId.of(record["pid"]).started != ""
