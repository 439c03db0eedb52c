"""Canaries: the smallest and the largest run for a few steps before the sweep follows.

They run in folders of their own under ``ROOT/sweeps/<name>/canary/<submission>/<run_id>``, so
that nothing of them is part of a result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cluster.work.worker import usable
from scaling import ProgramSpec, Spec, read_spec
from scaling.base import Store, WorkError
from scaling.run import LOG, NOTHING, end, read_journal
from sweeps import Resources

STEPS = 5


def choose(rows: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The runs with the fewest and the most FLOPs a step: the cheapest, and the most memory."""

    def size(run_id: str) -> tuple[float, float, str]:
        return float(rows[run_id]["num_params"]), float(rows[run_id]["flops"]), run_id

    return tuple(dict.fromkeys((min(rows, key=size), max(rows, key=size))))


def try_out(
    root: str, sweep: str, submission: str, spec: Mapping[str, Any], resources: Mapping[str, Any]
) -> str:
    """Train ``STEPS`` steps of a run and evaluate once, or a program until its first report.

    Returns how that ended.

    Raises
    ------
    WorkError
        If the run fails or diverges so early; the message says why.
    """
    from scaling import follow, train_together
    from scaling.training import connect

    store, run, used = Store.at(root), read_spec(spec), Resources.from_dict(resources)
    with connect(store.root / "rendezvous", used.device) as team:
        if not team.leads:
            follow(team, lambda: False)
            return "followed"
        folder = canary_dir(store, sweep, submission) / run.run_id
        trial, told = _trial(store, run, used)
        return _train(trial, folder, told, partial(train_together, team))


def _train(run: Spec, folder: Path, told: Mapping[str, Any], train: Callable[..., Any]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (folder / LOG).open("a", encoding="utf-8") as log:
        try:
            outcome = train(run, folder, **told)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=log)
            raise WorkError(f"canary {run.run_id}: {type(error).__name__}: {error}") from error
        print(f"{outcome.status} after {time.monotonic() - began:.1f} s", file=log)
    if outcome.status in ("failed", "diverged"):
        reason = outcome.values.get("reason", outcome.status)
        raise WorkError(f"canary {run.run_id} {outcome.status}: {reason}")
    return str(outcome.status)


def _trial(store: Store, run: Spec, used: Resources) -> tuple[Spec, dict[str, Any]]:
    """Some steps of a run, and what they may use; of a program all, until its first report.

    A program's options may not go with fewer steps.
    """
    told = usable(store, run, used, NOTHING)
    if isinstance(run, ProgramSpec):
        heard = threading.Event()
        return run, {**told, "heard": heard.set, "should_stop": heard.is_set}
    short = run.with_tokens(run.units_per_step * min(STEPS, run.num_steps))
    return short, {**told, "trunk_dir": None}


def canary_dir(store: Store, sweep: str, submission: str) -> Path:
    """Where the canaries of a submission run."""
    return store.sweep_dir(sweep) / "canary" / submission


def canary_failures(store: Store, sweep: str, submission: str) -> dict[str, str]:
    """The canaries of a submission that failed, with why."""
    found = {}
    for folder in sorted(canary_dir(store, sweep, submission).glob("*")):
        last = end(read_journal(folder))
        if last is not None and last["status"] != "done":
            found[folder.name] = str(last.get("reason") or last["status"])
    return found
