"""A folder with one file a run as one table, its files' names as runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.tables.reading.notes import Note
from analysis.tables.reading.unpivot import LABEL
from scaling import bare_name, is_table, read_frame

if TYPE_CHECKING:
    import pandas as pd

_TENSORBOARD = {"Wall time", "Step", "Value"}
_TAGGED = re.compile(r"(?:run-)?(.+)-tag-(.+)")
"""Names of the files that TensorBoard's page exports."""


def tables_in(folder: Path) -> list[Path]:
    """The tables of a folder, or of the folders in it, in the order of their names."""
    own = sorted(path for path in folder.iterdir() if path.is_file() and is_table(path))
    below = (path for path in folder.glob("*/*") if path.is_file() and is_table(path))
    return own or sorted(below)


def read_folder(folder: Path, notes: list[str]) -> pd.DataFrame:
    """The rows of all tables of a folder, with the column ``name`` for the run that a file is.

    The files of TensorBoard's page, one for a run and a tag, are joined by their steps.
    """
    import pandas as pd

    paths = tables_in(folder)
    names = _names(folder, paths)
    frames: dict[str, list[pd.DataFrame]] = {}
    for path, name in zip(paths, names, strict=True):
        frame = read_frame(path)
        lines = frame.attrs.get("lines", range(2, len(frame) + 2))
        frame["_place"] = [f"{path.relative_to(folder)}, line {line}" for line in lines]
        if set(map(str, frame.columns)) - {"_place"} == _TENSORBOARD:
            tagged = _TAGGED.fullmatch(name)
            name, tag = (tagged[1], tagged[2]) if tagged else (name, "loss")
            frame = frame.drop(columns="Wall time").rename(columns={"Value": tag})
        frames.setdefault(name, []).append(frame)
    whole = pd.concat(
        [_joined(parts).assign(**{LABEL: name}) for name, parts in frames.items()],
        ignore_index=True,
    )
    places = tuple(whole.pop("_place"))
    whole.attrs["lines"] = places
    others = [path for path in folder.iterdir() if path.is_file() and not is_table(path)]
    unread = f"; {len(others)} other files are not read" * bool(others)
    said = f"{len(paths)} files are the table; {LABEL} is the file's name{unread}"
    notes.append(Note(said, LABEL))
    return whole


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """What tells files apart: their names, or their folders' where all have one name."""
    stems = [bare_name(path) for path in paths]
    if len(set(stems)) == len(stems) or any(path.parent == folder for path in paths):
        return stems
    parents = [path.parent.name for path in paths]
    if len(set(parents)) == len(parents):
        return parents
    return [f"{parent}/{stem}" for parent, stem in zip(parents, stems, strict=True)]


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The tags of one run, by step; a single file as it is."""
    whole, *others = parts
    for other in others:
        whole = whole.merge(other.drop(columns="_place"), on="Step", how="outer")
    return whole
