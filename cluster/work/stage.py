"""``stage: local``: data sets are read from a copy on the node's own disk.

Processes of one user on a node share a copy; each signs in. Who signs out last removes it, and so
does whoever comes next, where those who were signed in have died: a job's batch script at its end,
another worker, or the process that ships the sweep.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.work.process import ProcessId
from scaling.base import Store, note, read_json, write_atomic
from scaling.world import os, path_at, secrets

VARIABLES = ("SCALING_SCRATCH", "SLURM_TMPDIR", "TMPDIR")  # the first that is set is the disk
_USERS, _DATA = "users", "data"


def scratch() -> Path:
    """Where this user's copies are on this node."""
    disk = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "/tmp")
    return path_at(disk) / f"scaling-data-{os.getuid()}"


@contextlib.contextmanager
def staged(store: Store, specs: Iterable[Mapping[str, Any]]) -> Iterator[Path]:
    """Copy the data sets that runs name to the node's own disk; they are read there meanwhile.

    What does not fit is read where it is. Gives the folder of data sets that is in use.
    """
    source = store.data_dir
    names = _named(source, specs)
    base, size = scratch(), sum(map(_size, names))
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = base / _key(names)
    user = folder / _USERS / f"{os.getpid()}-{secrets.token_hex(3)}.json"
    with _locked(base):
        _purge(base)
        free = shutil.disk_usage(base).free
        fits = (folder / _DATA).is_dir() or size < free
        if names and fits:
            write_atomic(user, json.dumps(ProcessId.of().to_dict()))
            _copy(names, folder)
    if not names or not fits:
        if names:
            note(
                f"stage: {size / 1e9:.3g} GB of data do not fit into {base}, which has "
                f"{free / 1e9:.3g} GB free: they are read from {source}"
            )
        yield source
        return
    before = os.environ.get("SCALING_DATA")
    os.environ["SCALING_DATA"] = str(folder / _DATA)
    try:
        yield folder / _DATA
    finally:
        os.environ.pop("SCALING_DATA", None)
        os.environ.update({} if before is None else {"SCALING_DATA": before})
        with _locked(base):
            user.unlink(missing_ok=True)
            _purge(base)


def clean_up() -> None:
    """Remove copies on this node whose users have died."""
    base = scratch()
    if base.is_dir():
        with _locked(base):
            _purge(base)


def _named(source: Path, specs: Iterable[Mapping[str, Any]]) -> list[Path]:
    """The folders of the data sets that some runs name."""
    try:
        there = {path.name: path for path in source.iterdir() if path.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: set[str] = set()
    for spec in specs:
        found |= there.keys() & set(_words(spec))
    return [there[name] for name in sorted(found)]


def _words(value: Any) -> Iterator[str]:
    """All texts in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _words(one)


def _key(folders: Iterable[Path]) -> str:
    """Stands for some data sets as they are now."""
    told = [
        (str(one.relative_to(folder.parent)), one.stat().st_size, one.stat().st_mtime_ns)
        for folder in folders
        for one in sorted(folder.rglob("*"))
    ]
    return hashlib.sha256(json.dumps([*map(str, folders), told]).encode()).hexdigest()[:16]


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def _copy(names: Iterable[Path], folder: Path) -> None:
    """Copy data sets, all or none, unless they are there."""
    if (folder / _DATA).is_dir():
        return
    partial = folder / f"{_DATA}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of who was killed
    for name in names:
        shutil.copytree(name, partial / name.name)
    partial.replace(folder / _DATA)


def _purge(base: Path) -> None:
    """Remove what nobody who lives is signed in for; the caller holds the lock."""
    for folder in base.glob("*/"):
        for path in (folder / _USERS).glob("*.json"):
            told = read_json(path)
            if told is None or not ProcessId.from_dict(told).may_run:
                path.unlink(missing_ok=True)
        if not any((folder / _USERS).glob("*.json")):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(base: Path) -> Iterator[None]:
    """One process of the node at a time; the disk is its own, so a lock is one."""
    with (base / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
