"""Somebody's file as a run table: columns by their usual spellings, and every doubt as a note.

The file's columns stay as they are; the run table's columns (``scaling/schema.py``) are added
beside them. What a reader should know of the reading is in ``frame.attrs["notes"]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.schema import RUN_COLUMNS, find_column, normalise

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_FLAGS = {"excluded", "exclude", "outlier", "isoutlier"}
SIZES = ("num_params", "num_tokens", "flops")
FAR = 2.5
"""Decades beyond which a size is taken to be in another unit."""


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
        The rows of the file in its order, none left out: a row whose loss is missing or not
        positive has an ``exclude_reason``.

    Raises
    ------
    ValueError
        If the file is empty, not of its kind, lacks a named column, or has text in a column of
        numbers (with line and column).
    """
    frame = _read(path)
    if not len(frame.columns) or not len(frame):
        raise ValueError(f"{path}: the file has no rows; a run table has one row per run")
    notes: list[str] = []
    names = [str(name) for name in frame.columns]
    columns = dict(columns or {})
    first_line = frame.attrs.get("first_line", 1)
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
            notes.append(f"{column.name} is the column {found!r}")
        values = frame[found]
        if column.kind in ("int", "float"):
            values = numbers(values, f"{path}: line {{}}, column {found!r}", first_line)
        frame[column.name] = values
    frame = complete(frame, notes, first_line)
    frame.attrs = {"notes": notes, "source": path.name, "first_line": first_line}
    return frame


def complete(frame: pd.DataFrame, notes: list[str], first_line: int = 1) -> pd.DataFrame:
    """``frame`` with D or C from the other two sizes, ``exclude_reason``, and notes on doubts."""
    import numpy as np

    have = set(frame.columns)
    if {"num_params", "flops"} <= have and "num_tokens" not in have:
        frame["num_tokens"] = frame["flops"] / (6 * frame["num_params"])
        notes.append("num_tokens is flops / (6 num_params): the table has none")
    if {"num_params", "num_tokens"} <= have and "flops" not in have:
        frame["flops"] = 6 * frame["num_params"] * frame["num_tokens"]
        notes.append("flops is 6 num_params num_tokens: the table has none")
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
        bad = ~np.isfinite(values) if name == "loss" else np.isinf(values)
        for i in np.flatnonzero(bad | (values <= 0)):
            if not reasons[i]:
                reasons[i] = _fault(name, values[i])
                faults.setdefault(reasons[i], []).append(first_line + 1 + int(i))
    for reason, lines in faults.items():
        notes.append(f"left out, {reason}: {_lines(lines)}")
    frame["exclude_reason"] = reasons
    notes.extend(doubts(frame, first_line))
    return frame


def _lines(lines: list[int]) -> str:
    """``line 7`` or ``lines 7, 9, ...``."""
    shown = ", ".join(map(str, lines[:6])) + (", ..." if len(lines) > 6 else "")
    return f"line{'s' * (len(lines) > 1)} {shown}"


def _fault(name: str, value: float) -> str:
    if math.isnan(value):
        return f"{name} missing"
    return f"{name} is {value:.6g}" + ("" if math.isinf(value) else ", not positive")


def numbers(values: pd.Series, where: str, first_line: int = 1) -> pd.Series:
    """``values`` as floats; ``ValueError`` at the first that is no number, as true and text are.

    ``where`` has one ``{}`` for the line.
    """
    import pandas as pd

    converted = pd.to_numeric(values, errors="coerce")
    wrong = converted.isna() & values.notna() & (values.astype(str).str.strip() != "")
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        wrong |= values.map(lambda value: isinstance(value, bool))
    if wrong.any():
        i = int(wrong.to_numpy().argmax())
        raise ValueError(
            f"{where.format(first_line + 1 + i)}: {str(values.iloc[i])!r} is not a number; "
            "write it plainly, such as 1.2e9, and leave unknown values empty"
        )
    return converted.astype(float)


def flagged(frame: pd.DataFrame) -> list[str]:
    """A note for each column that seems to say which rows not to use, and is not heeded."""
    return [
        f"column {str(name)!r} is true in {int(frame[name].sum())} rows, which are used; "
        f"--where 'not {name}' leaves them out"
        for name in frame.columns
        if normalise(str(name)) in _FLAGS and frame[name].dtype == bool and frame[name].any()
    ]


def doubts(frame: pd.DataFrame, first_line: int = 1) -> list[str]:
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
            found.append(
                f"flops is {10**middle:.2g} times 6 x num_params x num_tokens in the median: "
                f"a unit is off by about 1e{3 * round(abs(middle) / 3):d} (thousands, millions, "
                "billions, PFLOPs?); all three are wanted as plain counts"
            )
        stray = off[(off - middle).abs() > FAR]
        if len(stray):
            known = {int(i) for i in stray.index}
            lines = _lines([first_line + 1 + i for i in sorted(known)])
            found.append(
                f"flops is far from 6 x num_params x num_tokens in {len(stray)} of {len(off)} "
                f"rows, unlike the others ({lines}): a unit may differ there"
            )
    for name in ("num_params", "num_tokens"):
        if name in frame.columns:
            found += _apart(frame[name], known, first_line)
    if {"num_params", "num_tokens"} <= set(frame.columns):
        n, d = frame["num_params"].median(), frame["num_tokens"].median()
        if n < 1e3 and d < 1e5:
            found.append(
                f"num_params {n:.3g} and num_tokens {d:.3g} in the median look like millions or "
                "billions; plain counts are wanted"
            )
        elif not 1e-4 < d / n < 1e6:
            (low, small), (high, large) = sorted(((n, "num_params"), (d, "num_tokens")))
            who, value, looks = (
                (small, low, "like millions or billions")
                if low < 1e6
                else (large, high, "1e6 or 1e9 times too large")
            )
            found.append(
                f"{who} is {value:.3g} in the median, {d / n:.2g} tokens per parameter: it looks "
                f"{looks}; plain counts are wanted"
            )
    twice = frame.duplicated(keep=False) & (frame["exclude_reason"] == "")
    if twice.any():
        lines = _lines([first_line + 1 + int(i) for i in np.flatnonzero(twice)])
        found.append(f"{int(twice.sum())} rows are equal in every column ({lines}); all kept")
    return found


def _apart(values: pd.Series, known: set[int], first_line: int) -> list[str]:
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
    lines = _lines([first_line + 1 + i for i in rows])
    return [
        f"{values.name} is {factor:.0e} times that of the others in {lines}: "
        "a unit may differ there (thousands, millions, billions?)"
    ]


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a table is one of {', '.join(SUFFIXES)}, not {path.suffix!r}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            return _read_jsonl(path)
        return _read_csv(path)
    except PermissionError:
        raise ValueError(f"{path}: you may not read this file; change its permissions") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8"
        ) from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: the file is empty; a table has a line of names") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{path}: {str(error).split('C error: ')[-1].strip()}") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from None


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    skip, header = 0, ""
    with path.open(encoding="utf-8-sig") as file:
        for header in file:
            if not header.startswith("#"):
                break
            skip += 1
    separator = max((",", ";", "\t"), key=header.count)
    frame = pd.read_csv(
        path, sep=separator, skiprows=skip, skipinitialspace=True, encoding="utf-8-sig"
    )
    if isinstance(frame.index, pd.RangeIndex):
        frame.columns = [str(name).strip() for name in frame.columns]
        frame.attrs["first_line"] = skip + 1
        return frame
    raise ValueError("the lines have more fields than the line of names")


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is not a JSON object")
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame.attrs["first_line"] = 0
    return frame
