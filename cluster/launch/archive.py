"""``archive``: the runs of a sweep that are over in one file, and out of it again."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.work import claim, lease_dir
from scaling import read_any_spec
from scaling.base import Store, uncollected
from scaling.run import (
    archive_path,
    has_result,
    last_epoch,
    read_rows,
    restore_archive,
    write_archive,
)


@dataclass(frozen=True)
class Archived:
    """What was put into an archive, or taken out of it.

    Attributes
    ----------
    runs : tuple of str
    left : int
        Runs of the sweep that stay folders: they are not over, somebody holds them, or they are
        in an archive already.
    files : int
        Files that are one now, or that one is now.
    """

    sweep: str
    path: Path
    runs: tuple[str, ...]
    left: int = 0
    files: int = 0
    restored: bool = False

    @property
    def lines(self) -> list[str]:
        """That in words."""
        name = shlex.quote(self.sweep)
        if self.restored:
            return [f"{len(self.runs)} runs are folders again, out of {self.path}"]
        said = [f"{len(self.runs)} runs, {self.files} files, are in {self.path}"]
        if self.left:
            said.append(f"{self.left} runs stay as they are: not over, in use, or in an archive")
        return [*said, f"`scaling archive {name} --restore` makes them folders again"]

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling archive --json`` prints."""
        return {
            "sweep": self.sweep,
            "archive": str(self.path),
            "restored" if self.restored else "archived": list(self.runs),
            "left": self.left,
            "files": self.files,
        }


@uncollected()
def archive(store: Store, name: str, *, dry_run: bool = False) -> Archived:
    """Put those runs of a sweep that have a result into its archive, and remove their folders.

    What reads runs (tables, status, logs) reads them there. Whoever interrupts it can do the same
    again.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    """
    path, rows = archive_path(store, name), read_rows(store, name)
    folders = {
        row["run_id"]: lease_dir(store, read_any_spec(row["spec"]), row["run_id"])
        for row in rows
        if _is_over(store.run_dir(row["run_id"]))
    }
    runs = [store.run_dir(run_id) for run_id in folders]
    sizes = {run_dir: files_of(run_dir) for run_dir in runs}
    files = sum(map(len, sizes.values()))
    if runs and not dry_run:
        write_archive(path, sizes)
        runs = [d for d in runs if _remove(d, folders[d.name], sizes[d])]
    there = tuple(run_dir.name for run_dir in runs)
    return Archived(name, path, there, len(rows) - len(there), files)


def restore(store: Store, name: str, *, dry_run: bool = False) -> Archived:
    """Make the folders of a sweep's archive again, and remove the archive.

    Raises
    ------
    ValueError
        If it has none, or that is damaged.
    """
    path = archive_path(store, name)
    try:
        with zipfile.ZipFile(path) as package:
            names = package.namelist()
        runs = sorted({name.partition("/")[0] for name in names})
        if not dry_run:
            restore_archive(path, store.root / "runs")
    except FileNotFoundError:
        raise ValueError(f"sweep {name!r} has no archive: there is no {path}") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged ({error}): take it from a backup") from None
    return Archived(name, path, tuple(runs), 0, len(names), restored=True)


def _is_over(run_dir: Path) -> bool:
    return run_dir.is_dir() and has_result(run_dir)


def files_of(run_dir: Path) -> dict[str, int]:
    """The files of a run and their sizes, without what says who holds it."""
    found = {}
    for folder, _, names in os.walk(run_dir):
        inside = Path(folder).relative_to(run_dir)
        for name in names:
            if not name.startswith(("lease-", ".")):
                found[str(inside / name)] = (Path(folder) / name).stat().st_size
    return found


def _remove(run_dir: Path, held: Path, sizes: dict[str, int]) -> bool:
    """Remove a folder that is in the archive as it is; False where it is in use, or was since."""
    lease = claim(held, "archive", after=last_epoch(run_dir))
    if lease is None:
        return False
    with lease:
        if files_of(run_dir) != sizes:
            return False
        shutil.rmtree(run_dir)
        lease.release(remove=True)  # a trunk's: the journals in the archive tell its epochs
    with contextlib.suppress(OSError):  # a trunk's that holds checkpoints, or the run's own: gone
        held.rmdir()
    return True
