"""Checkpoints of shared trunks, removed when no unfinished run starts from them.

The furthest of a trunk is kept: a run on more data, which a later sweep may ask for, goes on
from it.

A trunk is a cache: a run that finds none trains from its beginning, to the same bits. So what
is removed too early costs time and never a result. It is removed only under the trunk's lease,
which everybody holds who trains one of its runs, of whatever sweep.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from cluster.work.lease import claim
from scaling import RunSpec, Spec, cooldown_start, read_any_spec
from scaling.base import Store
from scaling.run import has_result, numbered_rows, sweep_paths

Branches = Mapping[str, tuple[tuple[str, int], ...]]


def tidy(store: Store, trunk_id: str) -> None:
    """Remove what no unfinished run of any sweep would start from, but for the furthest.

    Such a run starts from the last checkpoint at or before its cooldown. The caller holds the
    trunk's lease.
    """
    for path in store.trunk_dir(trunk_id).glob(".*.pt.*"):  # half written by who was killed
        path.unlink(missing_ok=True)
    saved = {int(path.stem): path for path in _saved(store, trunk_id)}
    if len(saved) < 2:
        return
    needed = {max(saved)}
    for path in sweep_paths(store):
        with contextlib.suppress(OSError):  # removed meanwhile
            stat = path.stat()
            of_sweep = _branches(path, stat.st_mtime_ns, stat.st_size)
            for run_id, branch in of_sweep.get(trunk_id, ()):
                if not has_result(store.run_dir(run_id)):
                    needed.add(max((step for step in saved if step <= branch), default=-1))
    for step, path in saved.items():
        if step not in needed:
            path.unlink(missing_ok=True)


def tidy_up_after(store: Store, specs: Iterable[Spec]) -> None:
    """Tidy up the trunks of some runs that nobody works on.

    For what a worker left that died between the end of its last run and the tidying.
    """
    for trunk_id in sorted({spec.trunk_id for spec in specs} - {None}, key=str):
        assert trunk_id is not None
        if len(list(_saved(store, trunk_id))) < 2:
            continue
        if lease := claim(store.trunk_dir(trunk_id), "tidy"):
            with lease:
                tidy(store, trunk_id)


def trunks_of(path: Path) -> set[str]:
    """The trunks that runs of a sweep's file go through."""
    stat = path.stat()
    return set(_branches(path, stat.st_mtime_ns, stat.st_size))


def _saved(store: Store, trunk_id: str) -> Iterable[Path]:
    return store.trunk_dir(trunk_id).glob("[0-9]*.pt")


@lru_cache(maxsize=64)
def _branches(path: Path, mtime_ns: int, size: int) -> Branches:
    """By trunk, the runs of a sweep's file with the step at which each leaves it."""
    found = defaultdict(list)
    for _, row in numbered_rows(path):
        spec = read_any_spec(row["spec"])
        if isinstance(spec, RunSpec) and spec.trunk_id is not None:
            branch = cooldown_start(spec.schedule, spec.num_steps)
            found[spec.trunk_id].append((row["run_id"], branch))
    return {trunk_id: tuple(runs) for trunk_id, runs in found.items()}
