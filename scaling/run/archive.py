"""Archives: the folders of runs that are over in one file, ``ROOT/archives/<sweep>.zip``.

What reads a run's journal finds it there too. A folder that is there wins over an archive.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from scaling.base import Store, note_once, replacing

_FOLDER = "archives"
_SUFFIX = ".zip"
_RUN = re.compile(r"[A-Za-z0-9][\w.-]*")


def archive_path(store: Store, sweep: str) -> Path:
    """Where the archive of a sweep is, if it has one."""
    return store.root / _FOLDER / f"{sweep}{_SUFFIX}"


def archived(run_dir: Path, name: str) -> bytes | None:
    """The file ``name`` of a run that is in an archive; None where there is none."""
    package = _index(run_dir.parents[1]).get(run_dir.name)
    if package is None:
        return None
    try:
        return _open(*_stamp(package)).read(f"{run_dir.name}/{name}")
    except (KeyError, OSError, zipfile.BadZipFile):
        return None


def archived_runs(store: Store) -> frozenset[str]:
    """The runs that are in any archive of a store."""
    return frozenset(_index(store.root))


def write_archive(path: Path, files: Mapping[Path, Iterable[str]]) -> None:
    """Add files of some runs' folders to an archive, which is whole before the old one goes.

    Raises
    ------
    OSError
        If what was written cannot be read again.
    """
    anew = {run_dir.name for run_dir in files}
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as package:
            if path.exists():
                with zipfile.ZipFile(path) as before:
                    for info in before.infolist():
                        if info.filename.partition("/")[0] not in anew:
                            package.writestr(info, before.read(info))
            for run_dir, names in files.items():
                for name in sorted(names):
                    package.write(run_dir / name, f"{run_dir.name}/{name}")
        file.flush()
        with zipfile.ZipFile(file.name) as written:
            damaged = written.testzip()
        if damaged is not None:
            raise OSError(5, f"{damaged} in the archive is damaged", str(path))


def restore_archive(path: Path, runs: Path) -> list[str]:
    """Make the folders of an archive again under ``runs``, and remove it; their ids.

    Those that are there again stay as they are.

    Raises
    ------
    ValueError
        If a name in it leads elsewhere, as none of ours does; nothing is changed then.
    """
    with zipfile.ZipFile(path) as package:
        names: dict[str, list[str]] = {}
        for name in package.namelist():
            run_id, _, rest = name.partition("/")
            if not _RUN.fullmatch(run_id) or ".." in rest.split("/") or rest[:1] in ("", "/"):
                raise ValueError(f"{path} is no archive of runs: it holds {name[:80]!r}")
            names.setdefault(run_id, []).append(name)
        for run_id, own in names.items():
            if (runs / run_id / "metrics.jsonl").exists():
                continue
            partial = runs / f".{run_id}.restored"
            shutil.rmtree(partial, ignore_errors=True)
            package.extractall(partial, own)
            shutil.rmtree(runs / run_id, ignore_errors=True)
            (partial / run_id).replace(runs / run_id)
            shutil.rmtree(partial)
    path.unlink()
    _open.cache_clear()
    return sorted(names)


def _index(root: Path) -> dict[str, Path]:
    """By run, the archive that has it."""
    folder = root / _FOLDER
    try:
        changed = folder.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return _runs_in(folder, changed)


@lru_cache(maxsize=8)
def _runs_in(folder: Path, changed: int) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            names = _open(*_stamp(path)).namelist()
        except (OSError, zipfile.BadZipFile) as error:
            note_once(f"warning: {path} cannot be read ({error}): its runs are not seen")
            continue
        found |= {name.partition("/")[0]: path for name in names}
    return found


def _stamp(path: Path) -> tuple[Path, int]:
    return path, path.stat().st_mtime_ns


@lru_cache(maxsize=8)
def _open(path: Path, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
