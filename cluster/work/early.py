"""Runs that end early, because a rule calls them hopeless: with what they have, and why.

The rule is outside: it gives run ids and reasons (:func:`read_reasons`). A run that ended so keeps
its checkpoint and is done by no submission until somebody asks for just that.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from cluster.work.lease import Lease, claim
from cluster.work.submission import Queue, ask_about, read_queues
from cluster.work.tasks import lease_dir
from scaling import read_spec
from scaling.base import Store, read_json
from scaling.run import (
    STATE,
    Journal,
    SupersededError,
    end,
    last_epoch,
    read_rows,
    read_turns,
)
from scaling.world import time

EARLY = "stopped early"  # how such a run ends
_ENDED = ("done", "diverged", EARLY)


def read_reasons(text: str) -> dict[str, str]:
    """Why each run is hopeless, from a JSON list of objects with ``run_id`` and ``reason``.

    Raises
    ------
    ValueError
        If it is another thing.
    """
    how = 'give a JSON list, as [{"run_id": "0123456789abcdef", "reason": "no better"}]'
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON ({error}): {how}") from None
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise ValueError(f"not a list of objects: {how}")
    for one in listed:
        if not isinstance(one.get("run_id"), str):
            raise ValueError(f"item {json.dumps(one)[:60]} has no run_id: {how}")
    return {one["run_id"]: str(one.get("reason") or "a rule") for one in listed}


def stop_early(store: Store, name: str, reasons: Mapping[str, str]) -> list[str]:
    """End some runs of a sweep; those that had not ended. What trains is ended by its worker.

    Raises
    ------
    ValueError
        If there is no such sweep, or it has no such run.
    """
    rows = {row["run_id"]: row for row in read_rows(store, name)}
    if unknown := [run_id for run_id in reasons if run_id not in rows]:
        raise ValueError(
            f"sweep {name!r} has no run {unknown[0]!r}: give ids as `scaling status` lists them"
        )
    queues = read_queues(store.sweep_dir(name))
    said = ask_about(queues)
    live = [queue for queue in queues if queue.is_live(said)]
    ended = []
    for run_id, reason in reasons.items():
        run_dir = store.run_dir(run_id)
        if _has_ended(run_dir):
            continue
        for queue in live:
            queue.stop_run(run_id, reason)
        folder = lease_dir(store, read_spec(rows[run_id]["spec"]), run_id)
        lease = claim(folder, "stop early", after=last_epoch(run_dir))
        if lease is not None:
            with lease:
                _end(run_dir, lease, reason)
        ended.append(run_id)
    return ended


def settle(store: Store, queue: Queue, task: tuple[str, ...], lease: Lease) -> None:
    """End those runs of a task that were to end early and were checkpointed for it."""
    for run_id in task:
        reason = queue.stop_reason(run_id)
        if reason and lease.held() and not _has_ended(store.run_dir(run_id)):
            with contextlib.suppress(SupersededError):  # another took it over at this moment
                _end(store.run_dir(run_id), lease, reason)


def _has_ended(run_dir: Path) -> bool:
    last = end(read_turns(run_dir))
    return last is not None and last["status"] in _ENDED


def _end(run_dir: Path, lease: Lease, reason: str) -> None:
    """Say in a run's journal that it ends here."""
    state = read_json(run_dir / STATE) or {}
    spent = {"tokens": state.get("step"), "seconds": state.get("seconds")}
    known = {key: value for key, value in spent.items() if value}  # nothing of one never begun
    journal = Journal(run_dir, max(lease.epoch, last_epoch(run_dir)), lease.held)
    try:
        journal.append(
            "end",
            status=EARLY,
            reason=reason,
            time=time.time(),
            **known,
        )
    finally:
        journal.close()
