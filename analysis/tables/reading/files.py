"""Somebody's file as a run table: read, made long, its columns found, every doubt a note.

The file's columns stay as they are; the run table's columns (``scaling/schema.py``) are added
beside them. What a reader should know of the reading is in ``frame.attrs["notes"]``, the unit of
the loss in ``frame.attrs["units"]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.reading.active import with_active
from analysis.tables.reading.columns import Stated, has_sizes, take
from analysis.tables.reading.doubts import SIZES
from analysis.tables.reading.folders import read_folder
from analysis.tables.reading.likely import flags
from analysis.tables.reading.notes import Note, counted
from analysis.tables.reading.numbers import decimal_mark, is_written, plain, unread
from analysis.tables.reading.sizes import complete
from analysis.tables.reading.unpivot import NEVER, long
from scaling import COLUMN_FLAGS, TABLE_SUFFIXES, find_column, read_frame
from scaling.table_file import REMARKS, Lines, is_archive, opened, unpacked

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_TOTALS = {
    *("total", "totals", "grand total", "sum", "average", "avg", "avg.", "mean", "median"),
    *("overall", "gesamt", "summe", "mittelwert", "moyenne"),
}
"""What stands in the first cells of rows that sum up others."""
_STATISTICS = {"std", "stdev", "sd", "sem", "var", "min", "max", "count", "n", "25%", "50%", "75%"}


@dataclass(frozen=True)
class TableReading:
    """How a table is read beyond what is detected, and which of its rows are meant.

    Attributes
    ----------
    unpivot : str or None
        Which columns are runs or sizes (see ``unpivot.py``).
    decimal : str or None
        The decimal mark of its numbers, ``.`` or ``,``.
    last_by : str or None
        A column: the last row of each of its values is kept.
    frontier : bool
        Whether only rows are kept that no other beats in both compute and loss.

    Raises
    ------
    ValueError
        If the decimal mark is another.
    """

    unpivot: str | None = None
    decimal: str | None = None
    last_by: str | None = None
    frontier: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"--decimal {self.decimal!r} is neither . nor ,")


def read_table(
    path: Path,
    columns: Mapping[str, str] | None = None,
    how: TableReading = TableReading(),
) -> pd.DataFrame:
    """The run table in the file ``path``, or in a folder with one file a run.

    Parameters
    ----------
    path : Path
        The file, of a kind of ``scaling.TABLE_SUFFIXES``, packed or not; or an archive of some.
    columns : mapping, optional
        Run-table column -> the file's column, or a formula of its columns, for those that no
        usual spelling finds.
    how : TableReading
        Its ``unpivot`` and ``decimal``.

    Returns
    -------
    DataFrame
        The rows of the file in its order, none left out but empty ones: a row whose loss is
        missing has an ``exclude_reason``. ``attrs["faults"]`` are the cells of the columns taken
        that hold no number: :func:`refuse_faults` raises for them; ``attrs["texts"]`` what stood in
        those columns.

    Raises
    ------
    ValueError
        If the file is empty, not of its kind, or lacks a named column.
    """
    if not is_archive(path):
        return _read(path, columns or {}, how, str(path))
    with unpacked(path, TABLE_SUFFIXES) as inside:
        try:
            return _read(inside, columns or {}, how, str(path))
        except ValueError as error:  # its place is not the reader's
            raise ValueError(str(error).replace(str(inside), str(path))) from None


def _read(path: Path, columns: Mapping[str, str], how: TableReading, source: str) -> pd.DataFrame:
    notes: list[str] = []
    frame = read_folder(path, notes) if path.is_dir() else opened(read_frame(path))
    if not len(frame.columns) or not len(frame):
        raise ValueError(f"{path}: the file has no rows; a run table has one row per run")
    frame.columns = [str(name) for name in frame.columns]
    frame.attrs.setdefault("lines", range(2, len(frame) + 2))
    _say_names(frame, notes)
    frame = _filled(_without_totals(_without_empty(frame, notes), notes), notes)
    mark = how.decimal or decimal_mark(_texts(frame), frame.attrs.get("separator") == ";")
    if mark == "," and path.is_file():
        frame = _as_text(path, frame, how.decimal, notes)
    return understood(frame, columns, replace(how, decimal=mark), source, notes)


def read_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], decimal: str | None = None
) -> tuple[dict[str, list[float]], list[str]]:
    """N, D, C and the loss of runs that are not in a file, one row each, and notes on them.

    Parameters
    ----------
    rows : sequence of dict
        Values by name, of any kind.
    columns : mapping
        As for :func:`read_table`.
    decimal : str, optional
        The decimal mark of numbers in text.

    Returns
    -------
    columns : dict
        Run-table column -> a value for each row, NaN where there is none that can be read.
    notes : list of str
        On what was taken by another name or unit.

    Raises
    ------
    ValueError
        If a stated column is neither there nor a formula of those that are.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows)).infer_objects()
    frame = frame[[c for c in frame if frame[c].map(pd.api.types.is_scalar).all()]]
    if not len(frame.columns):
        return {}, []
    frame = frame.rename(columns=str)
    mark = decimal or decimal_mark(_texts(frame))
    how = TableReading(unpivot=NEVER, decimal=mark)
    notes: list[str] = []
    frame.attrs["lines"] = range(1, len(frame) + 1)
    table = understood(frame, columns, how, "the runs", notes)
    unit = table.attrs["units"].get("loss")
    own = [n for n in notes if isinstance(n, Note) and n.taken and n.about in (*SIZES, "loss")]
    own = [n for n in own if n.about != "flops" or not n.endswith("the table has none")]
    said = [str(n) for n in own]
    if unit and not any(unit in line for line in said):
        said.append(f"the loss is in {unit}")
    made = any(
        n.about == "flops" and n.endswith("the table has none")
        for n in notes
        if isinstance(n, Note)
    )  # by 6 N D, as whoever reads the runs does
    columns_ = [n for n in (*SIZES, "loss") if n in table and not (made and n == "flops")]
    return {name: table[name].tolist() for name in columns_}, said


def understood(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    how: TableReading,
    source: str,
    notes: list[str],
) -> pd.DataFrame:
    """The run table in the rows of ``frame``, which are of ``source``; else as ``read_table``."""
    own = frame.attrs.get("source", Path(source).name)
    sizes = [name for name in SIZES if find_column(name, list(frame.columns))]
    if "num_params" not in sizes and has_sizes(frame):
        sizes.append("num_params")
    frame = long(frame, how.unpivot, sizes, notes)
    for name in frame.columns:
        stood = frame[name]
        frame[name] = plain(stood, name, how.decimal)
        if _is_plain(frame[name]) and not _is_plain(stood):
            option = next((COLUMN_FLAGS[c] for c in COLUMN_FLAGS if find_column(c, [name])), "")
            notes += map(Note, unread(stood, name, option))
    own_size = columns.get("num_params") or find_column("num_params", [*map(str, frame.columns)])
    frame = with_active(frame, own_size, notes)
    taken = take(frame, Stated(columns, how.decimal), source)
    texts = {name: frame[name] for name in taken.columns if taken.faults and name in frame}
    for name, values in taken.columns.items():
        frame[name] = values
    notes += taken.notes
    frame = complete(frame, notes, taken.untrained, taken.sources)
    frame.attrs = {
        "notes": notes,
        "source": own,
        "lines": frame.attrs["lines"],
        "units": taken.units,
        "faults": tuple((fault.row, f"{source}: {fault.message}") for fault in taken.faults),
        "texts": texts,
    }
    return frame


def refuse_faults(frame: pd.DataFrame, kept: NDArray[np.bool_] | None = None) -> None:
    """Raise ``ValueError`` for the first of the ``kept`` rows with a cell that is no number."""
    frame.attrs.pop("texts", None)
    for row, message in frame.attrs.pop("faults", ()):
        if kept is None or kept[row]:
            raise ValueError(message)


def _texts(frame: pd.DataFrame) -> list[pd.Series]:
    return [frame[name] for name in frame.columns if not _is_plain(frame[name])]


def _is_plain(values: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(values))


def _as_text(path: Path, frame: pd.DataFrame, stated: str | None, notes: list[str]) -> pd.DataFrame:
    """The same rows as text: where commas are decimal marks, ``1.234`` may be a thousand."""
    text = opened(read_frame(path, as_text=True))
    if not stated:
        notes.append("numbers have decimal commas, points between thousands; --decimal . if not")
    text.attrs.setdefault("lines", frame.attrs["lines"])
    return _filled(_without_totals(_without_empty(text, []), []), [])


def _say_names(frame: pd.DataFrame, notes: list[str]) -> None:
    """Notes on names that the file has more than once, and on what of it is not read."""
    for name, columns in frame.attrs.get("twice", {}).items():
        column = next((c for c in ("loss", *SIZES) if find_column(c, [name])), None)
        other = f"; {flags(column, columns[1:2])[0]} takes the second" if column else ""
        they = ", ".join(columns)
        notes.append(Note(f"{len(columns)} columns are called {name!r}: they are {they}{other}"))
    if said := frame.attrs.get("said"):
        notes.append(Note(said))


def _filled(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows with what stands above in empty cells of the first columns, as merged cells leave
    them: a value once, then none in rows that have all others."""
    filled: list[str] = []
    for name in frame.columns[:-1]:
        empty = frame[name].isna() | (frame[name].astype(str).str.strip() == "")
        known, rest = frame.loc[~empty, name], frame.columns.difference([*filled, name])
        if (
            empty.iloc[0]
            or 2 * empty.sum() < len(frame)
            or len(known) < 2
            or not known.is_unique
            or frame.loc[empty, rest].isna().to_numpy().any()
        ):
            break
        frame[name] = frame[name].where(~empty).ffill()
        filled.append(name)
        count = int(empty.sum())
        notes.append(Note(f"{count} empty cells of {name!r} take the value above, as if merged"))
    return frame


def _without_empty(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows that say anything: not those without a value, the names once more, or remarks."""
    first = frame.iloc[:, 0].astype(str)
    few = frame[frame.isna().any(axis=1) | (first.str.strip() == "") | (first == frame.columns[0])]
    texts = few.astype(object).where(few.notna(), "").astype(str)
    texts = texts.apply(lambda column: column.str.strip())
    empty, names = ((texts == one).all(axis=1) for one in ("", list(frame.columns)))
    alone = (texts.iloc[:, 1:] == "").all(axis=1) & ~empty
    remark = alone & (texts.iloc[:, 0].str.startswith(REMARKS) | _stray(frame.iloc[:, 0], alone))
    whats = (("empty", empty), ("the line of names once more", names), ("a remark", remark))
    for what, rows in whats:
        if rows.any():
            notes.append(f"left out, {what}: {counted(frame, rows.index[rows].tolist())}")
    without = {*few.index[empty | names | remark]}
    if not without:
        return frame
    kept = [row for row in frame.index if row not in without]
    lines = frame.attrs["lines"]
    found: pd.DataFrame = frame.iloc[kept].reset_index(drop=True)
    found.attrs = {**frame.attrs, "lines": Lines(lines[i] for i in kept)}
    return found


def _stray(values: pd.Series, alone: pd.Series) -> pd.Series:
    """Which of the cells that stand ``alone`` in their rows are words in a column of numbers."""
    import numpy as np

    words = alone & np.array([not is_written(cell) for cell in values[alone.index]], dtype=bool)
    among_numbers = bool(words.any()) and 2 * sum(map(is_written, values)) > len(values)
    return words & among_numbers


def _without_totals(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows without those that sum up others, as one of their first two cells says.

    Where other statistics have rows too, or half of the rows are such, none is left out.
    """
    texts = [frame[name].astype(str).str.strip(" :*_").str.lower()
             for name in frame.columns[:2] if not _is_plain(frame[name])]  # fmt: skip
    for words in texts:
        rows = words.isin(_TOTALS).to_numpy().nonzero()[0].tolist()
        if not rows or 2 * len(rows) >= len(frame) or words.isin(_STATISTICS).any():
            continue
        said = ", ".join(repr(word) for word in dict.fromkeys(words.iloc[rows]))
        notes.append(f"left out, {said} of other rows: {counted(frame, rows)}")
        lines = frame.attrs["lines"]
        kept = [row for row in range(len(frame)) if row not in {*rows}]
        found: pd.DataFrame = frame.iloc[kept].reset_index(drop=True)
        found.attrs = {**frame.attrs, "lines": Lines(lines[i] for i in kept)}
        return found
    return frame
