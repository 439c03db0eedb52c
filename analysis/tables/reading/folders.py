"""A folder with one file a run as one table, its files' names as runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.tables.reading.doubts import SIZES
from analysis.tables.reading.notes import Note
from analysis.tables.reading.unpivot import LABEL
from scaling import bare_name, find_column, is_table, read_frame
from scaling.table_file import Lines, opened

if TYPE_CHECKING:
    import pandas as pd

_TENSORBOARD = {"Wall time", "Step", "Value"}
_TAGGED = re.compile(r"(?:run-)?(.+)-tag-(.+)")
"""Names of the files that TensorBoard's page exports."""


def tables_in(folder: Path) -> list[Path]:
    """The tables of a folder, or of the folders in it where each has one, in their order.

    Folders with several files each are runs' logs, which ``scaling import`` reads.
    """
    own = sorted(filter(_is_run, folder.iterdir()))
    below = sorted(filter(_is_run, folder.glob("*/*")))
    alone = len({path.parent for path in below}) == len(below)
    return own or (below if alone else [])


def _is_run(path: Path) -> bool:
    return path.is_file() and is_table(path) and not path.name.startswith(".")


def read_folder(folder: Path, notes: list[str]) -> pd.DataFrame:
    """The rows of all tables of a folder, with the column ``name`` for the run that a file is.

    The files of TensorBoard's page, one for a run and a tag, are joined by their steps.
    """
    import pandas as pd

    paths = tables_in(folder)
    files: list[pd.DataFrame] = []
    curves: dict[str, list[pd.DataFrame]] = {}
    for path, name in zip(paths, _names(folder, paths), strict=True):
        frame = opened(read_frame(path))
        lines = frame.attrs.get("lines", range(2, len(frame) + 2))
        is_curve = set(frame.columns) == _TENSORBOARD
        frame["_place"] = [f"{path.relative_to(folder)}, line {line}" for line in lines]
        if is_curve:
            tagged = _TAGGED.fullmatch(name)
            run, tag = (tagged[1], tagged[2]) if tagged else (name, "loss")
            frame = frame.drop(columns="Wall time").rename(columns={"Value": tag})
            curves.setdefault(run, []).append(frame)
        else:
            files.append(frame if LABEL in frame.columns else frame.assign(**{LABEL: name}))
    files += [_joined(tags).assign(**{LABEL: run}) for run, tags in curves.items()]
    files = _of_one_name(files, notes)
    whole = pd.concat(files, ignore_index=True)
    whole.attrs = {"lines": Lines(whole.pop("_place"))}
    others = [path for path in folder.iterdir() if path.is_file() and not _is_run(path)]
    unread = f"; {len(others)} other files are not read" * bool(others)
    notes.append(Note(f"{len(paths)} files are the table; {LABEL} is the file's name{unread}"))
    return whole


def _of_one_name(files: list[pd.DataFrame], notes: list[str]) -> list[pd.DataFrame]:
    """The files with N, D, C and the loss by one name each, where each has one of its own."""
    for column in (*SIZES, "loss"):
        spelled = [[n for n in map(str, file) if find_column(column, [n])] for file in files]
        different = list(dict.fromkeys(names[0] for names in spelled if len(names) == 1))
        if len(different) > 1 and all(len(names) == 1 for names in spelled):
            to = different[0]
            files = [
                f.rename(columns={names[0]: to}) for f, names in zip(files, spelled, strict=True)
            ]
            notes.append(Note(f"{column} is {' or '.join(map(repr, different))}, as a file has it"))
    return files


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """What tells files apart: their names, or their folders' where all have one name."""
    stems = [bare_name(path) for path in paths]
    if len(set(stems)) == len(stems) or any(path.parent == folder for path in paths):
        return stems
    return [path.parent.name for path in paths]


def _joined(tags: list[pd.DataFrame]) -> pd.DataFrame:
    """The tags of one run, by step."""
    whole, *others = tags
    for other in others:
        whole = whole.merge(other, on="Step", how="outer", suffixes=("", "_other"))
        whole["_place"] = whole["_place"].fillna(whole.pop("_place_other"))
    return whole
