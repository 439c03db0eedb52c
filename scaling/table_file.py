"""A table in somebody's file, ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``, as it stands there.

The one reader of such files: run tables are made from it (``analysis/tables/files.py``), and runs
that are taken over from elsewhere (``scaling/importing``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_frame(path: Path, *, as_text: bool = False) -> pd.DataFrame:
    """The rows of a file; ``attrs["lines"]`` has the line of each.

    Lines at the top of a ``.csv`` that begin with ``#`` are skipped. With ``as_text`` its fields
    are the text that stands there, an empty field is an empty text.

    Raises
    ------
    ValueError
        If the file is empty, or not of the kind that its suffix says.
    """
    import pandas as pd

    if path.suffix not in TABLE_SUFFIXES:
        kinds = ", ".join(TABLE_SUFFIXES)
        raise ValueError(f"{path}: a table is one of {kinds}, not {path.suffix!r}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            return _read_jsonl(path)
        return _read_csv(path, as_text)
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


def _read_csv(path: Path, as_text: bool) -> pd.DataFrame:
    import pandas as pd

    skip, header = 0, ""
    with path.open(encoding="utf-8-sig") as file:
        for header in file:
            if header.strip() and not header.startswith("#"):
                break
            skip += 1
        separator = max((",", ";", "\t"), key=header.count)
        blank = " \t\n".replace(separator, "")
        lines = [number for number, line in enumerate(file, skip + 2) if line.strip(blank)]
    frame = pd.read_csv(
        path,
        sep=separator,
        skiprows=skip,
        skipinitialspace=True,
        encoding="utf-8-sig",
        dtype=str if as_text else None,
        keep_default_na=not as_text,
    )
    if isinstance(frame.index, pd.RangeIndex):
        frame.columns = [str(name).strip() for name in frame.columns]
        frame.attrs["lines"] = _row_lines(lines, skip + 2, len(frame))
        return frame
    raise ValueError("the lines have more fields than the line of names")


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    numbered = list(json_objects(path))
    frame = pd.DataFrame([row for _, row in numbered])
    frame.attrs["lines"] = _row_lines([number for number, _ in numbered], 1, len(frame))
    return frame


def json_objects(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON Lines, with their lines; blank lines are nothing.

    Raises
    ------
    ValueError
        At a line that is no object.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=_whole)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error.msg})") from None
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        except RecursionError:
            raise ValueError(
                f"{path}: line {number} is nested too deep; a row is a flat JSON object"
            ) from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is not a JSON object")
        yield number, row


def _row_lines(lines: list[int], first: int, count: int) -> Sequence[int]:
    """The line of each row: ``lines``, or one after the other where a field spans several."""
    plain = range(first, first + count)
    return plain if len(lines) != count or lines == list(plain) else tuple(lines)


def _whole(text: str) -> int:
    """A JSON integer, where a float can hold it."""
    if math.isinf(float(text)):
        raise ValueError(
            f"the number {text[:9]}... has {len(text)} digits; the largest is 1.8e308, and "
            "unknown values are left empty"
        )
    return int(text)
