"""A data set's folder: built beside its place under a lock, then moved there in one step."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.base import Store, note


def data_home(data_dir: str | os.PathLike[str] | None) -> Path:
    """The folder of all data sets: ``data_dir``, or the store's."""
    return Path(data_dir).expanduser() if data_dir else Store.at().data_dir


def check_name(name: str, what: str = "data set") -> str:
    """``name``, if it can name a data set's folder, or a file in it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(
            f"{what} name {name!r}: use up to 100 letters, digits, dots, dashes and "
            "underscores, the first a letter or digit"
        )
    return name


@contextmanager
def building(home: Path, name: str) -> Iterator[Path]:
    """The folder in which ``name`` is built, ours alone until the block ends.

    Another process that builds the same name is waited for; look again, inside the block,
    whether it is done. The folder survives a kill, so that work goes on from there.
    """
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".{name}.partial"
    with (home / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"{name}: another process is preparing it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield partial


def start_afresh(partial: Path) -> None:
    """Make ``partial`` an empty folder."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)


def publish(partial: Path, target: Path) -> None:
    """Move the finished folder to its place in one step."""
    if target.exists():
        raise ValueError(f"{target} exists and holds no whole data set: remove it and run again")
    partial.rename(target)
