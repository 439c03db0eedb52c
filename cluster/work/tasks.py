"""Tasks: runs that share a constant-rate trunk, one after another; the longest task first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scaling import ImportedSpec, RunSpec, Spec
from scaling.base import Store


@dataclass(frozen=True)
class Task:
    """Runs that one worker does in this order, under one lease.

    Attributes
    ----------
    key : str
        The trunk that they share, or the one run's identity.
    run_ids : tuple of str
        By number of tokens, ascending: each leaves the trunk where the next goes on.
    flops : float
        What they really cost together.
    """

    key: str
    run_ids: tuple[str, ...]
    flops: float


def make_tasks(specs: Iterable[tuple[str, Spec]]) -> list[Task]:
    """The tasks over ``(run_id, spec)`` pairs, by their cost in FLOPs, descending.

    A trunk costs its longest constant part once; each run adds its own cooldown.
    """
    chains: dict[str, list[tuple[int, str, Spec]]] = {}
    for run_id, spec in specs:
        chains.setdefault(spec.trunk_id or run_id, []).append((spec.num_tokens, run_id, spec))
    tasks = []
    for key, chain in chains.items():
        chain.sort(key=lambda member: member[:2])
        run_ids = tuple(run_id for _, run_id, _ in chain)
        tasks.append(Task(key, run_ids, chain_flops([spec for _, _, spec in chain])))
    return sorted(tasks, key=lambda task: (-task.flops, task.key))


def chain_flops(specs: list[Spec]) -> float:
    """FLOPs that runs of one trunk, or a single run, really cost."""
    on_trunk = [s for s in specs if isinstance(s, RunSpec) and s.trunk_id is not None]
    if not on_trunk:
        return float(sum(spec.flops for spec in specs))
    cooldown = sum(spec.flops * spec.schedule.cooldown_fraction for spec in on_trunk)
    constant = max(spec.flops * (1 - spec.schedule.cooldown_fraction) for spec in on_trunk)
    return cooldown + constant


def lease_dir(store: Store, spec: Spec | ImportedSpec, run_id: str) -> Path:
    """The folder whose lease stands for a run's task."""
    return store.trunk_dir(spec.trunk_id) if spec.trunk_id else store.run_dir(run_id)
