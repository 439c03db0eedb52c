"""The table of an experiment kept until its store changes: a cache in the user's own folder.

Only of stores that tell at next to no cost whether they changed (:mod:`scaling.tracking.state`):
SQLite files and PostgreSQL. A server is asked each time. What is kept is parquet and JSON, read as
values and never as code; a file that cannot be read, is torn, or was made by other code, is as good
as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.reading import Note
from scaling.base import replacing, write_atomic
from scaling.families import FAMILIES
from scaling.table_file import Lines
from scaling.tracking import masked, sqlite_path, store_state

if TYPE_CHECKING:
    import pandas as pd

MOST = 40  # tables that are kept
HALF = 3600.0  # seconds after which a file that is not whole never will be
ROOMS = ("scaling", "analysis/tables")  # code that has a say in a table
_MADE_OF = b"scaling.made_of"
_ATTRS = b"scaling.attrs"


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
            head, text = lines.readline(), lines.readline()
        found = json.loads(text) if head == _head(made_of, text) else None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_values(tracking_uri: str, name: str, values: Mapping[str, Any]) -> None:
    """Keep values that JSON has."""
    file, made_of = _place(tracking_uri, name, "json")
    text = f"{json.dumps(values)}\n"
    with contextlib.suppress(OSError):
        write_atomic(file, _head(made_of, text) + text)
        _prune(file)


def _head(made_of: str, text: str) -> str:
    """The line before a text: what it was made of, and what tells whether it is whole."""
    return f"{made_of} {hashlib.sha256(text.encode()).hexdigest()}\n"


def _place(tracking_uri: str, asked: object, kind: str, state: object = None) -> tuple[Path, str]:
    """The file for what is asked of a store, and what it has to be made of."""
    path = sqlite_path(tracking_uri)
    place = os.path.realpath(path) if path else masked(tracking_uri)
    named = repr((place, asked))
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    code = _code(tuple(sorted(FAMILIES)))
    return folder() / f"{digest}.{kind}", json.dumps([state, code, sys.version, named])


def _prune(file: Path) -> None:
    """Leave the newest files of a kind, and none of a writer that was killed."""
    newest = sorted(file.parent.glob(f"*{file.suffix}"), key=lambda one: -one.stat().st_mtime)
    halves = [one for one in file.parent.glob(".*") if time.time() - one.stat().st_mtime > HALF]
    for old in [*newest[MOST:], *halves]:
        old.unlink(missing_ok=True)


def folder() -> Path:
    """Where tables are kept: ``$XDG_CACHE_HOME/scaling-lab`` or ``~/.cache/scaling-lab``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scaling-lab"


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
        table = pyarrow.parquet.read_table(file, page_checksum_verification=True)
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
            pyarrow.parquet.write_table(table, out, write_page_checksum=True)
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
