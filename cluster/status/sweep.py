"""How far a sweep is: what its runs' folders say, joined with what SLURM says of its jobs.

Needs neither torch nor MLflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.slurm import Answer
from cluster.status.failures import Failure, group_failures
from cluster.status.run import Work, judge
from cluster.status.run_status import STATES, RunStatus
from cluster.work import (
    EARLY,
    Outlook,
    ask_about,
    cap_reached,
    outlook,
    read_queues,
    used_of_caps,
)
from scaling.base import Display, Store, flops_text, read_json, uncollected
from scaling.run import archived_runs, damaged_lines, read_rows, state_of
from sweeps import Policy

CAPPED = "a cap is reached"
NOTICES_FILE = "notices.json"  # what was told of a sweep, and what did not arrive


@dataclass(frozen=True)
class SweepStatus:
    """All runs of a sweep as they stand.

    Attributes
    ----------
    name : str
    runs : tuple of RunStatus
    failures : tuple of Failure
        What broke, by cause, the most frequent first.
    is_live : bool
        Whether some process or job works on it or waits to.
    is_on_slurm : bool
        Whether jobs of it were submitted to SLURM.
    problem : str
        What SLURM could not be asked; empty if all went well.
    gpu_hours_used : float or None
        What its jobs had allocated, all attempts, waste too; without SLURM's accounting what its
        runs trained. None where nobody says.
    cap : str
        Which cap is reached, with the numbers and what goes on from there; empty for none.
    caps : dict
        By cap of the sweep, what was used of it and what may be.
    policy : Policy
        Of the newest submission, whose name is ``submission``.
    is_stopped : bool
        Whether that was cancelled.
    undelivered : tuple of str
        Why somebody who was to be told of it could not be.
    search : Outlook or None
        Where a strategy chooses its runs: how far that is.
    """

    name: str
    runs: tuple[RunStatus, ...]
    failures: tuple[Failure, ...] = ()
    is_live: bool = False
    is_on_slurm: bool = False
    problem: str = ""
    gpu_hours_used: float | None = None
    cap: str = ""
    caps: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    submission: str = ""
    is_stopped: bool = False
    undelivered: tuple[str, ...] = ()
    search: Outlook | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Runs by state, in the order of ``STATES``; states without a run are left out."""
        counted = Counter(run.state for run in self.runs)
        return {state: counted[state] for state in STATES if counted[state]}

    @property
    def flops_total(self) -> float:
        """Training FLOPs of all runs, each by itself."""
        return sum(run.flops for run in self.runs)

    @property
    def flops_done(self) -> float:
        """The share of these that is done, runs in progress by their tokens.

        A run that stopped early or diverged is done: nothing of it is left to do.
        """
        return sum(run.flops * run.progress for run in self.runs)

    @property
    def flops_saved(self) -> float:
        """FLOPs that runs which stopped early did not take."""
        return sum(run.flops * (1.0 - run.trained) for run in self.in_state(EARLY))

    @property
    def gpu_hours_left(self) -> float | None:
        """What the rest takes at the pace so far; None as long as nothing is known of it."""
        computed = sum(run.flops * run.trained for run in self.runs)
        if not computed or self.gpu_hours_used is None:
            return None
        left = self.flops_total - self.flops_done - self.flops_saved
        return self.gpu_hours_used / computed * left

    def __repr__(self) -> str:
        return self._display().text

    def _repr_html_(self) -> str:
        return self._display().html

    def _display(self) -> Display:
        """How many runs are in which state, what was done of the FLOPs, what broke."""
        title = f"Sweep {self.name}: {len(self.runs)} runs"
        if self.flops_total:
            title += f", {self.flops_done / self.flops_total:.1%} of {flops_text(self.flops_total)}"
        notes = [f"{len(failure.runs)} {failure.cause}" for failure in self.failures]
        return Display(title, ("state", "runs"), list(self.counts.items()), notes)

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
            "flops_saved": self.flops_saved,
            "gpu_hours_used": self.gpu_hours_used,
            "gpu_hours_left": self.gpu_hours_left,
            "problem": self.problem,
            "cap": self.cap,
            "caps": {name: {"used": u, "limit": most} for name, (u, most) in self.caps.items()},
            "undelivered": list(self.undelivered),
            **({"search": self.search.to_dict()} if self.search else {}),
            "failures": [failure.to_dict() for failure in self.failures],
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
                    "job": run.job,
                    "cause": run.cause,
                    "damaged": run.damaged,
                }
                for run in self.runs
            ],
        }


@uncollected()
def sweep_status(
    name: str,
    root: str | Path | None = None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    before: SweepStatus | None = None,
    answer: Answer | None = None,
) -> SweepStatus:
    """How far the sweep ``name`` is.

    Parameters
    ----------
    name : str
    root : path, optional
    rows : list of dict, optional
        The sweep's lines, where the caller has read them.
    before : SweepStatus, optional
        An earlier status: runs that were done or diverged then are not read again.
    answer : Answer, optional
        What SLURM says, where it was asked already.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    """
    store = Store.at(root)
    rows = read_rows(store, name) if rows is None else rows
    queues = read_queues(store.sweep_dir(name))
    answer = ask_about(queues) if answer is None else answer
    work = Work(queues, answer)
    known = {run.run_id: run for run in before.in_state("done", "diverged")} if before else {}
    begun = _folders(store.root / "runs") | archived_runs(store)
    runs = tuple(
        known.get(row["run_id"]) or _run_status(store, row, work, row["run_id"] in begun)
        for row in rows
    )
    policy = Policy.parse(queues[-1].policy if queues else rows[0].get("policy", {}))
    cap = cap_reached(store, name, policy)
    if cap:
        runs = tuple(
            replace(run, reason=CAPPED) if run.state in ("stopped", "planned") else run
            for run in runs
        )
    broken = [run for run in runs if run.cause]
    batches = {row["run_id"]: row.get("batch_size", 0) for row in rows} if broken else {}
    resources = {
        run.run_id: {"batch_size": batches[run.run_id], **_resources(work, run)} for run in broken
    }
    return SweepStatus(
        name,
        runs,
        tuple(group_failures(name, broken, store, resources)),
        is_live=bool(work.live_queues),
        is_on_slurm=work.is_on_slurm,
        problem=answer.problem,
        gpu_hours_used=_gpu_hours(runs, answer if work.is_on_slurm else None),
        cap=cap,
        caps=used_of_caps(store, name, policy),
        policy=policy,
        submission=queues[-1].path.stem if queues else "",
        is_stopped=bool(queues) and queues[-1].is_stopped,
        undelivered=_undelivered(store.sweep_dir(name)) if policy.notify else (),
        search=outlook(store, name) if rows[0].get("search") else None,
    )


def _undelivered(folder: Path) -> tuple[str, ...]:
    """Why notices did not arrive."""
    told = (read_json(folder / NOTICES_FILE) or {}).items()
    return tuple(f"notice {key.split()[0]!r}: {n['why']}" for key, n in told if "why" in n)


def _resources(work: Work, run: RunStatus) -> dict[str, Any]:
    """What a run could use; the memory that SLURM gave its job where the sweep does not say."""
    job = work.answer.jobs.get(run.job)
    given = {"memory": f"{job.memory_mb:.0f}MB"} if job is not None and job.memory_mb else {}
    return {**given, **work.resources(run.run_id)}


def _folders(folder: Path) -> set[str]:
    """The names in a folder, in one call: most runs of a large sweep have none yet."""
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()


def _run_status(store: Store, row: Mapping[str, Any], work: Work, begun: bool) -> RunStatus:
    run_id = row["run_id"]
    run_dir = store.run_dir(run_id) if begun else None
    record = state_of(run_dir) if run_dir else {}
    verdict = judge(run_dir, record, run_id, work)
    return RunStatus(
        run_id=run_id,
        name=row["name"],
        state=verdict.state,
        reason=verdict.reason,
        flops=float(row.get("flops", row.get("flops_6nd", 0))),
        step=int(record.get("step", 0)),
        num_tokens=int(row.get("num_tokens", 0)),
        loss=record.get("loss"),
        seconds=record.get("seconds"),
        gpus=record.get("gpus"),
        job=verdict.job,
        fault=verdict.fault,
        imported=bool(record.get("imported")),
        damaged=damaged_lines(run_dir) if run_dir else 0,
        spent=int(record.get("spent_tokens") or 0),
    )


def _gpu_hours(runs: Sequence[RunStatus], answer: Answer | None) -> float | None:
    if answer is not None and answer.gpu_seconds is not None:
        return answer.gpu_seconds / 3600
    said = [run.gpus * run.seconds for run in runs if run.gpus is not None and run.seconds]
    return sum(said) / 3600 if said else None
