"""The table of an experiment kept until its store changes: a cache in the user's own folder.

Only of SQLite files without a write-ahead log: each transaction that changes one adds to a counter
in its header, by which SQLite itself tells whether what it has read still holds. With the file's
identity, size and times, copies and backups put back are told from it as well. A server is asked
each time. What is kept is parquet and JSON, read as values and never as code; a file that cannot be
read, or was made by other code, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.reading import Note
from scaling.base import replacing, write_atomic
from scaling.families import FAMILIES
from scaling.table_file import Lines
from scaling.tracking import sqlite_path

if TYPE_CHECKING:
    import pandas as pd

MOST = 40  # tables that are kept
ROOMS = ("scaling", "analysis/tables")  # code that has a say in a table
_MADE_OF = b"scaling.made_of"
_ATTRS = b"scaling.attrs"
_HEADER, _COUNTER, _ROLLBACK = 100, slice(24, 28), b"\x01\x01"  # of SQLite's file format


def kept(
    tracking_uri: str, asked: tuple[object, ...], make: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """What ``make`` gives for what is ``asked`` of a store, or gave while the store was the same.

    ``asked`` is values whose ``repr`` tells them apart.
    """
    before = store_state(tracking_uri) if find_spec("pyarrow") else None
    if before is None:
        return make()
    file, made_of = _place(tracking_uri, asked, "parquet", before)
    found = _read(file, made_of)
    if found is None:
        found = make()
        if store_state(tracking_uri) == before:  # nobody wrote meanwhile
            _write(file, made_of, found)
    return found


def read_values(tracking_uri: str, name: str) -> dict[str, Any]:
    """The values that were kept under a name for a store, whatever became of it since."""
    if not sqlite_path(tracking_uri):
        return {}
    file, made_of = _place(tracking_uri, name, "json")
    try:
        with file.open(encoding="utf-8") as lines:
            found = json.loads(lines.readline()) if lines.readline() == f"{made_of}\n" else None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_values(tracking_uri: str, name: str, values: Mapping[str, Any]) -> None:
    """Keep values that JSON has."""
    file, made_of = _place(tracking_uri, name, "json")
    with contextlib.suppress(OSError):
        write_atomic(file, f"{made_of}\n{json.dumps(values)}\n")
        _prune(file)


def store_state(tracking_uri: str) -> list[int] | None:
    """What differs after each change of a store; None where nothing cheap tells."""
    path = sqlite_path(tracking_uri)
    return state_of(path.resolve()) if path else None


def _place(tracking_uri: str, asked: object, kind: str, state: object = None) -> tuple[Path, str]:
    """The file for what is asked of a store, and what it has to be made of."""
    named = repr((os.path.realpath(str(sqlite_path(tracking_uri))), asked))
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    code = _code(tuple(sorted(FAMILIES)))
    return folder() / f"{digest}.{kind}", json.dumps([state, code, sys.version, named])


def _prune(file: Path) -> None:
    """Leave the newest files of a kind."""
    newest = sorted(file.parent.glob(f"*{file.suffix}"), key=lambda one: -one.stat().st_mtime)
    for old in newest[MOST:]:
        old.unlink(missing_ok=True)


def folder() -> Path:
    """Where tables are kept: ``$XDG_CACHE_HOME/scaling-lab`` or ``~/.cache/scaling-lab``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scaling-lab"


def state_of(store: Path) -> list[int] | None:
    """What differs after each change of a SQLite file; None where nothing cheap tells."""
    try:
        with store.open("rb") as file:
            header, found = file.read(_HEADER), os.fstat(file.fileno())
        if header[18:20] != _ROLLBACK or store.with_name(f"{store.name}-journal").exists():
            return None
    except OSError:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    counter = int.from_bytes(header[_COUNTER], "big")
    return [found.st_dev, found.st_ino, found.st_size, *times, counter]


@cache
def _code(families: tuple[str, ...]) -> str:
    """A digest of the files whose code has a say: their names, sizes and times."""
    top = Path(__file__).parents[2]
    files = {path for room in ROOMS for path in (top / room).rglob("*.py")}
    modules = {sys.modules.get(FAMILIES[name].config.__module__) for name in families}
    files |= {Path(module.__file__) for module in modules if module and module.__file__}
    told = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256(repr((told, families)).encode()).hexdigest()


def _read(file: Path, made_of: str) -> pd.DataFrame | None:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(file)
        said = table.schema.metadata or {}
        if said.get(_MADE_OF) != made_of.encode():
            return None
        frame: pd.DataFrame = table.to_pandas()
        frame.attrs.update(_attrs(json.loads(said[_ATTRS])))
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # what is asked for stays
    return frame


def _write(file: Path, made_of: str, frame: pd.DataFrame) -> None:
    """Keep a table, if a file can hold it as it is."""
    import pyarrow
    import pyarrow.parquet

    try:
        attrs = json.dumps(_said(frame.attrs))
        bare = frame.copy(deep=False)
        bare.attrs = {}
        table = pyarrow.Table.from_pandas(bare)
        said = {**(table.schema.metadata or {}), _MADE_OF: made_of.encode(), _ATTRS: attrs.encode()}
        table = table.replace_schema_metadata(said)
        again = table.to_pandas()
        if not again.equals(bare) or list(again.dtypes) != list(bare.dtypes):
            return
        with replacing(file) as out:
            pyarrow.parquet.write_table(table, out)
        _prune(file)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):
        return


def _said(attrs: dict[Any, Any]) -> dict[str, Any]:
    """What a frame's ``attrs`` say, as JSON has it.

    Raises
    ------
    ValueError
        If they say what a file cannot hold.
    """
    said = {**attrs, "notes": [_note(note) for note in attrs["notes"]]}
    if said.pop("texts", None) or said.pop("faults", None):
        raise ValueError("cells that are no numbers are said with the table that they stood in")
    return said


def _note(note: str) -> list[object]:
    return [str(note), note.about, note.taken] if isinstance(note, Note) else [str(note)]


def _attrs(said: dict[str, Any]) -> dict[str, Any]:
    notes = [Note(n[0], n[1], taken=n[2]) if len(n) > 1 else n[0] for n in said["notes"]]
    lines = {"lines": Lines(said["lines"])} if "lines" in said else {}
    return {**said, "notes": notes, **lines}
