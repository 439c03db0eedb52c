"""Somebody's file as a run table: columns by their usual spellings, and every doubt as a note.

The file's columns stay as they are; the run table's columns (``scaling/schema.py``) are added
beside them. What a reader should know of the reading is in ``frame.attrs["notes"]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.tables.where import is_true
from scaling import RUN_COLUMNS, find_column, normalise, read_frame

if TYPE_CHECKING:
    import pandas as pd

_FLAGS = {"excluded", "exclude", "outlier", "isoutlier"}
_TRUTHS = {"true", "false", "yes", "no", "1", "0", "1.0", "0.0", ""}
_FAILED = ("failed", "diverged")
SIZES = ("num_params", "num_tokens", "flops")
FAR = 2.5
"""Decades beyond which a size is taken to be in another unit."""
LARGEST = 1e14
"""Parameters of a median run beyond which N is taken to be in another unit."""


class Note(str):
    """A note on a table: a text that also says which column of the run table it is ``about``."""

    about: str

    def __new__(cls, text: str, about: str = "") -> Note:
        """The note with that ``text``."""
        note = super().__new__(cls, text)
        note.about = about
        return note


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The run table in the file ``path`` (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``).

    Parameters
    ----------
    path : Path
        The file. Lines at the top of a ``.csv`` that begin with ``#`` are skipped.
    columns : mapping, optional
        Run-table column -> the file's column, for those that no usual spelling finds.

    Returns
    -------
    DataFrame
        The rows of the file in its order, none left out: a row whose loss or size is missing or
        not positive has an ``exclude_reason``.

    Raises
    ------
    ValueError
        If the file is empty, not of its kind, lacks a named column, or has text in a column of
        numbers (with line and column).
    """
    frame = read_frame(path)
    if not len(frame.columns) or not len(frame):
        raise ValueError(f"{path}: the file has no rows; a run table has one row per run")
    notes: list[str] = []
    names = [str(name) for name in frame.columns]
    columns = dict(columns or {})
    lines = frame.attrs.setdefault("lines", range(2, len(frame) + 2))
    for column in RUN_COLUMNS:
        found = columns.get(column.name) or find_column(column.name, names)
        if found is None:
            continue
        if found not in names:
            raise ValueError(
                f"{path}: there is no column {found!r} for {column.name}; "
                f"the file has {', '.join(names)}"
            )
        if found != column.name:
            notes.append(Note(f"{column.name} is the column {found!r}", column.name))
        values = frame[found]
        if column.kind in ("int", "float"):
            values = numbers(values, found, f"{path}: ")
        frame[column.name] = values
    frame = complete(frame, notes)
    frame.attrs = {"notes": notes, "source": path.name, "lines": lines}
    return frame


def place(rows: pd.DataFrame | pd.Series, row: int) -> str:
    """Where row number ``row`` stands: the line of its file where that is known."""
    label = rows.index[row]
    lines: Sequence[int] = rows.attrs.get("lines", ())
    return f"line {lines[int(label)]}" if label in range(len(lines)) else f"row {row}"


def complete(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """``frame`` with D or C from the other two sizes, ``exclude_reason``, and notes on doubts.

    A row without a size stays, and is not used where that is needed.
    """
    import numpy as np

    have = set(frame.columns)
    if {"num_params", "flops"} <= have:
        tokens = frame["flops"] / (6 * frame["num_params"])
        _fill(frame, "num_tokens", tokens, "flops / (6 num_params)", notes)
    if {"num_params", "num_tokens"} <= have:
        flops = 6 * frame["num_params"] * frame["num_tokens"]
        _fill(frame, "flops", flops, "6 num_params num_tokens", notes)
    if {"num_params", "num_tokens"} <= have and "flops_6nd" not in have:
        frame["flops_6nd"] = 6 * frame["num_params"] * frame["num_tokens"]
    reasons = (
        frame["exclude_reason"].fillna("").astype(str).tolist()
        if "exclude_reason" in have
        else [""] * len(frame)
    )
    faults: dict[str, list[int]] = {}
    for name in ("loss", *SIZES):
        if name not in frame.columns:
            continue
        values = frame[name].to_numpy(dtype=float)
        missing = np.isnan(values)
        if name != "loss" and missing.any() and not missing.all():
            rows = missing.nonzero()[0].tolist()
            missed = f"{name} missing: {_lines(frame, rows)}, not used where it is needed"
            notes.append(Note(missed, name))
        bad = ~np.isfinite(values) if name == "loss" else np.isinf(values) | (values <= 0)
        for i in np.flatnonzero(bad):  # a loss that is not positive is left to the law
            if not reasons[i]:
                reasons[i] = _fault(name, values[i])
                faults.setdefault(reasons[i], []).append(int(i))
    for reason, rows in faults.items():
        notes.append(f"left out, {reason}: {_lines(frame, rows)}")
    frame["exclude_reason"] = reasons
    notes.extend(doubts(frame))
    return frame


def _fill(frame: pd.DataFrame, name: str, values: pd.Series, rule: str, notes: list[str]) -> None:
    """Put ``values`` where ``frame`` has no ``name``, and say so."""
    if name not in frame.columns:
        frame[name] = values
        notes.append(Note(f"{name} is {rule}: the table has none", name))
        return
    filled = (frame[name].isna() & values.notna()).to_numpy()
    if filled.any():
        empty = frame[name].isna().all()
        frame[name] = frame[name].fillna(values)
        where = f"none in {_lines(frame, filled.nonzero()[0].tolist())}"
        said = f"{name} is {rule}: {'the table has none' if empty else where}"
        notes.append(Note(said, name))


def _lines(table: pd.DataFrame | pd.Series, rows: Iterable[int]) -> str:
    """``line 7`` or ``lines 7, 9, ...`` of rows of a table as it was read."""
    known = table.attrs.get("lines", range(2, len(table) + 2))
    lines = [known[row] for row in rows]
    shown = ", ".join(map(str, lines[:6])) + (", ..." if len(lines) > 6 else "")
    return f"line{'s' * (len(lines) > 1)} {shown}"


def _fault(name: str, value: float) -> str:
    if math.isnan(value):
        return f"{name} missing"
    return f"{name} is {value:.6g}" + ("" if math.isinf(value) else ", not positive")


def numbers(values: pd.Series, name: str, source: str = "") -> pd.Series:
    """``values`` as floats; ``ValueError`` at the first that is no number, as true and text are.

    The message begins with ``source`` and says the place and the column ``name``.
    """
    import pandas as pd

    converted = pd.to_numeric(values, errors="coerce")
    wrong = converted.isna() & values.notna() & (values.astype(str).str.strip() != "")
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        wrong |= values.map(lambda value: isinstance(value, bool))
    if wrong.any():
        i = int(wrong.to_numpy().argmax())
        raise ValueError(
            f"{source}{place(values, i)}, column {name!r}: {str(values.iloc[i])!r} is not a "
            "number; write it plainly, such as 1.2e9, and leave unknown values empty"
        )
    return converted.astype(float)


def flagged(frame: pd.DataFrame) -> list[str]:
    """A note for each column that seems to say which rows not to use, and is not heeded."""
    found = []
    for name in map(str, frame.columns):
        if normalise(name) in _FLAGS and (true := _true(frame[name])):
            quoted = name if name.isidentifier() else f"`{name}`"
            found.append(
                f"column {name!r} is true in {true} rows, which are used; "
                f"--where 'not {quoted}' leaves them out"
            )
    if "status" in frame.columns:
        rows = frame["exclude_reason"].eq("") & frame["status"].isin(_FAILED)
        if rows.any():
            found.append(
                f"status is failed or diverged in {int(rows.sum())} rows, which are used; "
                f'--where "status not in {list(_FAILED)}" leaves them out'
            )
    return found


def _true(values: pd.Series) -> int:
    """The number of true values; 0 in a column of anything but true, yes, 1 and their opposites."""
    words = values.astype(str).where(values.notna(), "").str.strip().str.lower()
    return int(values.map(is_true).sum()) if set(words) <= _TRUTHS else 0


def doubts(frame: pd.DataFrame) -> list[str]:
    """Units that look wrong by powers of 1000, and rows that are there twice."""
    import numpy as np

    found: list[str] = []
    known: set[int] = set()
    if set(SIZES) <= set(frame.columns):
        with np.errstate(all="ignore"):
            off = np.log10(frame["flops"] / (6 * frame["num_params"] * frame["num_tokens"]))
        off = off[np.isfinite(off)]
        middle = float(off.median()) if len(off) else 0.0
        if abs(middle) > FAR:
            said = (
                f"flops is {10**middle:.2g} times 6 x num_params x num_tokens in the median: "
                f"a unit is off by about 1e{3 * round(abs(middle) / 3):d} (thousands, millions, "
                "billions, PFLOPs?); all three are wanted as plain counts"
            )
            found.append(Note(said, "flops"))
        stray = off[(off - middle).abs() > FAR]
        if len(stray):
            known = {int(i) for i in stray.index}
            lines = _lines(frame, sorted(known))
            said = (
                f"flops is far from 6 x num_params x num_tokens in {len(stray)} of {len(off)} "
                f"rows, unlike the others ({lines}): a unit may differ there"
            )
            found.append(Note(said, "flops"))
    for name in ("num_params", "num_tokens"):
        if name in frame.columns:
            found += _apart(frame[name], known)
    if {"num_params", "num_tokens"} <= set(frame.columns):
        n, d = frame["num_params"].median(), frame["num_tokens"].median()
        if n < 1e3 and d < 1e5:
            said = (
                f"num_params {n:.3g} and num_tokens {d:.3g} in the median look like millions or "
                "billions; plain counts are wanted"
            )
            found.append(Note(said, "num_params"))
        elif not 1e-4 < d / n < 1e6:
            (low, small), (high, large) = sorted(((n, "num_params"), (d, "num_tokens")))
            who, value, looks = (
                (small, low, "like millions or billions")
                if low < 1e6
                else (large, high, "1e6 or 1e9 times too large")
            )
            said = (
                f"{who} is {value:.3g} in the median, {d / n:.2g} tokens per parameter: it looks "
                f"{looks}; plain counts are wanted"
            )
            found.append(Note(said, who))
        elif n > LARGEST:
            said = (
                f"num_params is {n:.3g} in the median: it looks 1e6 or 1e9 times too large; plain "
                "counts are wanted"
            )
            found.append(Note(said, "num_params"))
    twice = frame.duplicated(keep=False) & (frame["exclude_reason"] == "")
    if twice.any():
        lines = _lines(frame, np.flatnonzero(twice).tolist())
        found.append(f"{int(twice.sum())} rows are equal in every column ({lines}); all kept")
    return found


def _apart(values: pd.Series, known: set[int]) -> list[str]:
    """A note on few rows that lie ``FAR`` from all others, but for the ``known`` ones."""
    import numpy as np

    logs = np.log10(values[np.isfinite(values) & (values > 0)]).sort_values()
    gaps = np.diff(logs)
    if not len(gaps) or gaps.max() < FAR:
        return []
    cut = int(gaps.argmax()) + 1
    low, high = logs.iloc[:cut], logs.iloc[cut:]
    few, many = (low, high) if len(low) < len(high) else (high, low)
    rows = sorted({int(i) for i in few.index} - known)
    if 4 * len(few) > len(logs) or not rows:
        return []
    factor = 10 ** (few.median() - many.median())
    said = (
        f"{values.name} is {factor:.0e} times that of the others in {_lines(values, rows)}: "
        "a unit may differ there (thousands, millions, billions?)"
    )
    return [Note(said, str(values.name))]
