"""``adopt``: runs that were trained elsewhere become runs of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.work import rewriting, written
from scaling.base import Store
from scaling.importing import ImportedRun, keep
from scaling.run import sweep_path
from sweeps import Imported, Sweep, check_name


@dataclass(frozen=True)
class Adoption:
    """What :func:`adopt` did.

    Attributes
    ----------
    added, updated, unchanged : tuple of str
        ``run_id`` of the runs that are new in the sweep, of those that stand for what was
        imported of them before (they had not ended then, or are counted otherwise now), and of
        those that it has as they are.
    """

    sweep: str
    added: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling import --json`` prints, beside the runs."""
        return {
            "sweep": self.sweep,
            "imported": list(self.added),
            "updated": list(self.updated),
            "unchanged": list(self.unchanged),
        }


def adopt(
    name: str,
    runs: Sequence[ImportedRun],
    *,
    root: str | Path | None = None,
    dry_run: bool = False,
    anew: bool = False,
) -> Adoption:
    """Make ``runs`` part of the sweep ``name``, which may have others; safe to repeat.

    Parameters
    ----------
    name : str
    runs : sequence of ImportedRun
        Each once.
    root : path, optional
    dry_run : bool
        Only say what would be done; nothing is written.
    anew : bool
        Runs that had ended and have other values now take the place of what was imported.

    Raises
    ------
    ValueError
        If the name cannot be a sweep's, or a run that had ended has other values now.
    """
    check_name(name)
    store = Store.at(root)
    if dry_run:
        return _merged(written(store, name), runs, anew)[1]
    with rewriting(store, name) as before:
        now, adoption = _merged(before, runs, anew)
        for run in runs:
            keep(store, run)
        if now != before:
            now.write(sweep_path(store, name))
    return adoption


def _merged(before: Sweep, runs: Sequence[ImportedRun], anew: bool) -> tuple[Sweep, Adoption]:
    """The sweep with the runs, those of before in their places."""
    known = {one.run_id: one for one in before.imported}
    shared = Counter((run.spec.source, run.spec.run) for run in runs)
    earlier = {
        (one.spec.source, one.spec.run): one
        for one in before.imported
        if shared[one.spec.source, one.spec.run] == 1 and one.spec.run
    }
    merged = dict(known)
    taken = {one.name for one in (*before, *before.imported)}
    added, updated, unchanged, changed = [], [], [], []
    for run in runs:
        run_id, spec = run.spec.run_id, run.spec
        old = known.get(run_id) or earlier.get((spec.source, spec.run))
        if old is None:
            name = f"{run.name}-{run_id[:6]}" if run.name in taken else run.name
            taken.add(name)
            merged[run_id] = Imported(run_id, name, spec)
            added.append(run_id)
        elif old.run_id == run_id and old.spec == spec:
            unchanged.append(run_id)
        else:
            if old.run_id != run_id and old.spec.is_finished and not anew:
                changed.append((old, spec))
            merged[old.run_id] = Imported(run_id, old.name, spec)
            updated.append(run_id)
    if changed:
        old, spec = changed[0]
        raise ValueError(
            f"{len(changed)} runs are in {before.name!r} with other values, such as {old.name!r} "
            f"(loss {_loss(old.spec)} then, {_loss(spec)} now): --replace takes the new ones, "
            "--as OTHER keeps both"
        )
    now = replace(before, imported=tuple(merged.values()))
    return now, Adoption(before.name, tuple(added), tuple(updated), tuple(unchanged))


def _loss(spec: Any) -> Any:
    return spec.result.get("loss", "missing")
