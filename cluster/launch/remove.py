"""``remove``: a sweep's folder, and the runs and trunks that no other sweep has."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.tracking import delete_experiment, without_shippers
from cluster.work import ask_about, claim, holder, lease_dir, read_queues, trunks_of
from scaling import read_any_spec
from scaling.base import Store, WorkError
from scaling.run import (
    SWEEP_FILE,
    archive_path,
    has_result,
    known_sweeps,
    numbered_rows,
    read_rows,
    sweep_path,
    sweep_paths,
)


@dataclass(frozen=True)
class Removal:
    """What the removal of a sweep takes away beside its folder, and what it leaves.

    Attributes
    ----------
    leases : dict
        By run whose folder goes, the folder whose lease says that somebody works on it.
    kept : dict
        By run that stays, the other sweeps that have it; none for one that was to be kept.
    trunks : tuple of str
        Trunks that no other sweep's run goes through.
    num_bytes : int
        Disk space that is freed, the folder's included.
    """

    sweep: str
    leases: Mapping[str, Path]
    kept: Mapping[str, tuple[str, ...]]
    trunks: tuple[str, ...]
    num_bytes: int

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs whose folders go."""
        return tuple(self.leases)

    @property
    def lines(self) -> list[str]:
        """What goes and what stays, in words."""
        what = [f"the folder of sweep {self.sweep!r}"]
        what += [f"{len(self.runs)} runs"] if self.runs else []
        what += [f"{len(self.trunks)} shared trunks"] if self.trunks else []
        said = [f"to remove: {', '.join(what)}; frees {self.num_bytes / 1e6:.1f} MB"]
        if self.kept:
            others = sorted({sweep for sweeps in self.kept.values() for sweep in sweeps})
            why = f", for {_listed(others)} has them too" if others else ""
            said.append(f"{len(self.kept)} of its runs stay{why}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling remove --json`` prints."""
        return {
            "sweep": self.sweep,
            "removed": list(self.runs),
            "kept": {run_id: list(sweeps) for run_id, sweeps in self.kept.items()},
            "trunks": list(self.trunks),
            "bytes": self.num_bytes,
        }


def plan_removal(store: Store, name: str, *, keep_runs: bool = False) -> Removal:
    """What :func:`remove` would do; nothing is written.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted, or the file of any sweep is damaged.
    WorkError
        While something works on the sweep.
    """
    rows = read_rows(store, name)
    if name not in known_sweeps(store):
        raise ValueError(f"{name!r} is no sweep's name: give one of {known_sweeps(store)}")
    if archive_path(store, name).exists():
        raise ValueError(
            f"runs of {name!r} are in {archive_path(store, name)}: `scaling archive "
            f"{shlex.quote(name)} --restore` takes them out, then remove it"
        )
    _refuse_if_live(store, name, [row["run_id"] for row in rows])
    others, shared = _others(store, name), _shared(store, name)
    leases, kept = {}, {}
    for row in rows:
        run_id = row["run_id"]
        if keep_runs or run_id in shared:
            kept[run_id] = tuple(shared.get(run_id, ()))
        else:
            leases[run_id] = lease_dir(store, read_any_spec(row["spec"]), run_id)
    theirs = {trunk for path in others for trunk in trunks_of(path)}
    ours = set() if keep_runs else trunks_of(sweep_path(store, name)) - theirs
    trunks = tuple(sorted(trunk for trunk in ours if store.trunk_dir(trunk).is_dir()))
    folders = [store.sweep_dir(name), *map(store.run_dir, leases), *map(store.trunk_dir, trunks)]
    for run_id, folder in leases.items():
        if held := holder(folder):
            raise WorkError(f"{held} works on run {run_id}: remove the sweep when it has ended")
    return Removal(name, leases, kept, trunks, sum(map(_size, folders)))


def remove(store: Store, removal: Removal, tracking_uri: str | None = None) -> bool:
    """Remove what was planned: runs first, the sweep's own file last.

    Whoever interrupts it can do the same again, for what is left. Before all else the sweep's
    experiment in ``tracking_uri`` is marked as deleted; returns whether there was one.

    Raises
    ------
    WorkError
        If somebody has begun to work on the sweep, or to submit it or one that has its runs; if
        the tracking store does not answer.
    """
    folder = store.sweep_dir(removal.sweep)
    lease = claim(folder, "write")
    if lease is None:
        raise WorkError(f"{holder(folder)} submits sweep {removal.sweep!r}: cancel it first")
    with lease, without_shippers(store, removal.sweep):
        _refuse_if_live(store, removal.sweep, removal.runs)
        if asked := _shared(store, removal.sweep).keys() & removal.leases.keys():
            raise WorkError(f"another sweep has run {min(asked)} since just now: remove it again")
        deleted = tracking_uri is not None and delete_experiment(
            store, removal.sweep, tracking_uri, removal.kept
        )
        for run_id, held in removal.leases.items():
            _remove(store.run_dir(run_id), held)
        for trunk_id in removal.trunks:
            _remove(store.trunk_dir(trunk_id), store.trunk_dir(trunk_id))
        for path in list(folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != SWEEP_FILE and path != lease.path:
                path.unlink()
        shutil.rmtree(folder)
    return deleted


def _others(store: Store, name: str) -> list[Path]:
    """The files of the other sweeps."""
    return [path for path in sweep_paths(store) if path.parent.name != name]


def _shared(store: Store, name: str) -> dict[str, list[str]]:
    """By run, the other sweeps that have it."""
    found: dict[str, list[str]] = {}
    for path in _others(store, name):
        for _, row in numbered_rows(path):
            found.setdefault(row["run_id"], []).append(path.parent.name)
    return found


def _remove(folder: Path, held: Path) -> None:
    """Remove a folder under the lease of those who write to it."""
    if not folder.is_dir():
        return
    held = held if held.is_dir() else folder  # no trunk is made to be held
    lease = claim(held, "remove")
    if lease is None:
        raise WorkError(f"{holder(held)} works in {folder}: remove the sweep when it has ended")
    with lease:
        shutil.rmtree(folder)


def _refuse_if_live(store: Store, name: str, run_ids: Sequence[str]) -> None:
    """Refuse while processes or jobs work on a sweep or wait to.

    Where SLURM does not answer its jobs may, as long as there is something to do.
    """
    queues = read_queues(store.sweep_dir(name))
    said = ask_about(queues)
    live = [queue for queue in queues if queue.is_live(said)]
    processes = {f"process {p.pid} on {p.host}" for queue in live for p in queue.live_processes}
    jobs = {j for queue in live for j in (*queue.canary, *queue.slurm_jobs) if said.may_run(j)}
    if said.problem and all(has_result(store.run_dir(run_id)) for run_id in run_ids):
        jobs = set()
    who = [*sorted(processes), *(f"job {job}" for job in sorted(jobs))]
    if who:
        raise WorkError(
            f"{_listed(who)} may work on sweep {name!r}: `scaling cancel {shlex.quote(name)}` "
            "stops that" + (f" ({said.problem})" if said.problem else "")
        )


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _size(folder: Path) -> int:
    """Bytes that a folder takes on the disk."""
    paths: Iterable[Path] = (folder, *folder.rglob("*")) if folder.is_dir() else ()
    return sum(512 * path.lstat().st_blocks for path in paths)
