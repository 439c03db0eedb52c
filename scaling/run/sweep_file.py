"""The file of a sweep, ``sweeps/<name>/sweep.jsonl``, a JSON object a run: read and found."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.base import Store, search_in, uncollected

SWEEP_FILE = "sweep.jsonl"
REMEDY = "remove it and submit the sweep again; what is done stays done"


class LineError(ValueError):
    """A line that is no JSON object.

    Attributes
    ----------
    number : int
        The line's, from 1.
    syntax : JSONDecodeError or None
        What is wrong with its syntax; None for JSON that is another value than an object.
    """

    def __init__(self, path: Path, number: int, syntax: json.JSONDecodeError | None) -> None:
        what = f"not JSON ({syntax.msg})" if syntax else "not a run"
        super().__init__(f"{path}:{number}: {what}")
        self.number, self.syntax = number, syntax


def sweep_path(store: Store, name: str) -> Path:
    """Where the file of a submitted sweep is."""
    return store.sweep_dir(name) / SWEEP_FILE


def sweep_paths(store: Store) -> list[Path]:
    """The files of all submitted sweeps, by name."""
    return sorted((store.root / "sweeps").glob(f"*/{SWEEP_FILE}"))


def known_sweeps(store: Store) -> list[str]:
    """The names of all submitted sweeps, sorted."""
    return [path.parent.name for path in sweep_paths(store)]


def find_sweep_file(
    source: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> Path | None:
    """The file that ``source`` means: a file, a folder with ``sweep.jsonl``, or a name."""
    path = Path(source)
    places = (path, path / SWEEP_FILE, sweep_path(Store.at(root), str(source)))
    return next((place for place in places if place.is_file()), None)


def numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a sweep's file with their numbers; blank ones are left out.

    Raises
    ------
    LineError
        At a line that is no JSON object.
    ValueError
        If it is not a text file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file: a sweep is JSON Lines") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise LineError(path, number, error) from None
        if not isinstance(row, dict):
            raise LineError(path, number, None)
        _search_plugins(row)
        yield number, row


def _search_plugins(row: dict[str, Any]) -> None:
    """Let what a sweep's runs have plugged in be found where it lay when the sweep was expanded."""
    spec, resources = row.get("spec"), row.get("resources")
    if isinstance(spec, dict) and isinstance(resources, dict) and spec.get("plugins"):
        for folder in filter(None, str(resources.get("code", "")).split(os.pathsep)):
            search_in(Path(folder))


@uncollected()
def read_rows(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a submitted sweep: ``run_id``, ``name``, ``spec`` and columns.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted, or its file is damaged.
    """
    path = sweep_path(store, name)
    try:
        if {"/", "\0"} & set(name) or name in (".", ".."):  # no name leads out of the sweeps
            raise FileNotFoundError
        rows = [row for _, row in numbered_rows(path)]
    except (FileNotFoundError, NotADirectoryError):
        known = known_sweeps(store)
        listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        raise ValueError(
            f"no sweep {name!r} under {store.root}: "
            + (f"there are {listed}" if known else "submit one first, or give its --root")
        ) from None
    except LineError as error:
        raise ValueError(f"{error}: {REMEDY}") from None
    if not rows:
        raise ValueError(f"{path} has no runs: {REMEDY}")
    return rows
