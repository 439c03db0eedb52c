"""Wide tables, a column a run or a size, as long ones: a row a point."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.tables.reading.doubts import SIZES
from analysis.tables.reading.notes import Note
from scaling import curves_of_chart, find_column, number_of
from scaling.table_file import Lines

if TYPE_CHECKING:
    import pandas as pd

NEVER = "none"
"""What ``--unpivot`` takes so that a table stays as it is."""

LABEL = "name"
"""The column for the names of runs that columns had."""

BUDGET = 1e15
"""Sizes from which columns are budgets C."""

_SIZE = re.compile(
    r"(?<![a-z0-9.])(\d+(?:\.\d+)?(?:[kmbt]|e\+?\d+)|\d{6,}(?:\.0+)?)(?![a-z0-9])", re.IGNORECASE
)
_OF_SIZE = re.compile(r"(?<=\w)\s*[\s(\[_@,]\s*(n|params|parameters|size|model)$", re.IGNORECASE)
"""What is left of a size in a name such as ``loss (N=70M)``."""
_SEED = re.compile(r"(?:seed|rep(?:licate)?|trial|(?<![a-z\d])s)[\W_]*(\d+)(?!\d)", re.IGNORECASE)
_CORNER = re.compile(r"(.+?)\s*[\\/|]\s*(.+)")
"""The name above the first column of a cross table: ``N \\ D``."""
_SUMMARY = ("__MIN", "__MAX")


@dataclass(frozen=True)
class Wide:
    """Which columns of a wide table hold what: ``cells[column] = (label, value)``.

    ``label`` is the text that becomes a cell of the column ``key``, ``value`` the column for the
    number itself. ``also`` is a second column for the label, with the name of its ``key``.
    """

    key: str
    cells: Mapping[str, tuple[str, str]]
    left_out: Sequence[str] = ()
    also: str = ""


def long(
    frame: pd.DataFrame, pattern: str | None, sizes: Sequence[str], notes: list[str]
) -> pd.DataFrame:
    """``frame`` with a row for each cell of the columns that are runs or sizes, if some are.

    Parameters
    ----------
    frame : DataFrame
        A file's rows.
    pattern : str, optional
        Such as ``loss_{num_params}``: columns that fit it are unpivoted, the part in braces
        becomes the cell of a column of that name. ``acc_{name} -> acc`` says what the values
        are (``loss``). ``none`` leaves the table as it is; without it W&B's charts and columns
        that differ by one size are found.
    sizes : sequence of str
        The run table's sizes that the table has: columns of sizes are N, or D where N is there.
    notes : list
        Takes what was done.

    Raises
    ------
    ValueError
        If no column fits the pattern.
    """
    if pattern == NEVER:
        return frame
    frame = _upright(frame, notes)
    frame, sizes, across = _uncornered(frame, sizes)
    names = [str(name) for name in frame.columns]
    wide = (
        _stated(names, pattern)
        if pattern
        else _chart(names) or _by_size(names, sizes, across) or _by_seed(names)
    )
    if wide is None:
        return frame
    found = _melt(frame, wide)
    values = " and ".join(dict.fromkeys(repr(value) for _, value in wide.cells.values()))
    said = (
        f"{len(wide.cells)} columns, such as {next(iter(wide.cells))!r}, are a row each: "
        f"{wide.key} from their names, {values} from their cells"
    )
    stay = "" if pattern else "; --unpivot none leaves them"
    left = f"; {len(wide.left_out)} columns of ranges (__MIN, __MAX) and steps are not used" * bool(
        wide.left_out
    )
    notes.append(Note(said + left + stay))
    return found


def _upright(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """A table with a column a run and a row a quantity, turned."""
    first, *runs = [str(name) for name in frame.columns]
    rows = [str(cell) for cell in frame[first]]
    said, named = (
        sum(find_column(column, names) is not None for column in (*SIZES, "loss"))
        for names in ([row for row in rows if len(row) > 1 or row in "NDCL"], runs)
    )
    if said < 2 or said <= named:
        return frame
    turned = frame.set_index(first)[runs].T
    turned.columns = rows
    turned = turned.infer_objects().reset_index(names=LABEL)
    turned.attrs = {**frame.attrs, "lines": Lines(f"column {run!r}" for run in runs)}
    notes.append(Note(f"the table has a column a run, and is turned: {len(runs)} runs"))
    return turned


def _uncornered(
    frame: pd.DataFrame, sizes: Sequence[str]
) -> tuple[pd.DataFrame, Sequence[str], str | None]:
    """A cross table with its first column's own name, the sizes then there, and the size that
    its other columns are; any other table as it is."""
    first, *others = [str(name) for name in frame.columns]
    found = _CORNER.fullmatch(first)
    if found is None or not others or not all(len(_SIZE.findall(name)) == 1 for name in others):
        return frame, sizes, None
    down, across = (
        next((size for size in SIZES if find_column(size, [name])), None) for name in found.groups()
    )
    if down is None or across is None:
        return frame, sizes, None
    return frame.rename(columns={first: found[1]}), [*sizes, down], across


def _stated(names: list[str], pattern: str) -> Wide:
    shape, _, value = pattern.partition("->")
    parts = re.fullmatch(r"([^{}]*)\{(\w+)\}([^{}]*)", shape.strip())
    if parts is None:
        raise ValueError(
            f"--unpivot {pattern!r} is no pattern; write the columns' names with what differs in "
            "braces, such as 'loss_{num_params}' or '{name} - val/loss'"
        )
    before, key, after = parts.groups()
    form = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
    fits = {name: found[1] for name in names if (found := form.fullmatch(name))}
    if not fits:
        raise ValueError(f"--unpivot {pattern!r} fits no column; there are {', '.join(names)}")
    return Wide(key, {name: (label, value.strip() or "loss") for name, label in fits.items()})


def _chart(names: list[str]) -> Wide | None:
    """The curves of a chart that W&B exported."""
    curves = curves_of_chart(names)
    if not curves:
        return None
    used = {column for _, _, column in curves}
    steps = [name for name in names if " - _step" in name]
    beside = [column + end for column in used for end in _SUMMARY] + steps
    groups = {run.partition(": ")[0] for run, _, _ in curves}  # of runs that a chart groups
    values = {run: run.partition(": ")[2] for run, _, _ in curves}
    if len(groups) == 1 and all(map(_is_number, values.values())):
        cells = {column: (values[run], metric) for run, metric, column in curves}
        return Wide(groups.pop(), cells, beside, LABEL)
    return Wide(LABEL, {column: (run, metric) for run, metric, column in curves}, beside)


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _by_size(names: list[str], sizes: Sequence[str], across: str | None) -> Wide | None:
    """Columns whose names differ by a size alone, in a table without a size or without a loss.

    ``across`` is which size that is, where it is known.
    """
    if {"num_params", "num_tokens"} <= set(sizes) or find_column("loss", names):
        return None
    key = across or ("num_tokens" if "num_params" in sizes else "num_params")
    cells: dict[str, tuple[str, str]] = {}
    by_rest: dict[str, list[str]] = {}
    for name in names:
        found = _SIZE.findall(name)
        if len(found) == 1:
            rest = _SIZE.sub("", name).strip(" _-/.()@:=")
            rest = _OF_SIZE.sub("", rest)
            cells[name] = (found[0], rest or "loss")
            by_rest.setdefault(rest, []).append(name)
    if len(by_rest) == 1 and any(find_column(size, [*by_rest]) for size in SIZES):
        cells = {name: (label, "loss") for name, (label, _) in cells.items()}  # ``2B tokens``
    shapes = [{cells[name][0] for name in group} for group in by_rest.values()]
    if not shapes or len(shapes[0]) < 2 or any(shape != shapes[0] for shape in shapes):
        return None
    if across is None and min(map(number_of, shapes[0])) >= BUDGET:
        key = "flops"
    return Wide(key, cells)


def _by_seed(names: list[str]) -> Wide | None:
    """Losses whose names differ by a seed alone, in a table without another loss."""
    if find_column("loss", names):
        return None
    cells = {}
    for name in names:
        rest = _SEED.sub("", name).strip(" _-/.()@:=")
        if (found := _SEED.search(name)) and find_column("loss", [rest]):
            cells[name] = (found[1], rest)
    same = len({rest for _, rest in cells.values()}) == 1
    return Wide("seed", cells) if same and len(cells) > 1 else None


def _melt(frame: pd.DataFrame, wide: Wide) -> pd.DataFrame:
    """The long table: other columns are repeated, empty cells make no row."""
    import pandas as pd

    kept = [c for c in map(str, frame.columns) if c not in wide.cells and c not in wide.left_out]
    lines = frame.attrs.get("lines")
    labels: dict[str, dict[str, str]] = {}
    for column, (label, value) in wide.cells.items():
        labels.setdefault(label, {})[value] = column
    parts, places = [], []
    for label, columns in labels.items():
        part = frame[kept].assign(**{wide.key: label})
        part = part.assign(**{wide.also: f"{wide.key}: {label}"}) if wide.also else part
        for value, column in columns.items():
            part[value] = frame[column]
        rows = part[[*columns]].notna().any(axis=1).to_numpy()
        parts.append(part[rows])
        column = next(iter(columns.values()))
        known = lines if lines is not None else range(2, len(frame) + 2)
        places += [f"line {known[i]} of {column!r}" for i in rows.nonzero()[0].tolist()]
    found = pd.concat(parts, ignore_index=True)
    found.attrs = {**frame.attrs, "lines": Lines(places)}
    return found
