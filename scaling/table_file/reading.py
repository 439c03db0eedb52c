"""``read_frame``: a table in a file of any usual kind as it stands there.

The one reader of such files: run tables are made from it (``analysis/tables/reading``), and runs
that are taken over from elsewhere (``scaling/importing``).
"""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.table_file.archives import ARCHIVES
from scaling.table_file.databases import DATABASES, read_database
from scaling.table_file.delimited import read_text, row_lines
from scaling.table_file.documents import DOCUMENTS, latex_table, markdown_table
from scaling.table_file.lines import Lines
from scaling.table_file.logs import LOGS, log_rows
from scaling.table_file.nested import expanded, json_objects, json_rows
from scaling.table_file.numbers import number_of
from scaling.table_file.packed import PACKINGS, content_of, decoded, kind_of
from scaling.table_file.pages import PAGES, html_table
from scaling.table_file.restructured import RESTRUCTURED, rst_table

if TYPE_CHECKING:
    import pandas as pd

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".tab", ".psv")
_LINES = (".jsonl", ".ndjson", ".jl")
TABLE_SUFFIXES = (*_TEXT, *_LINES, ".json", ".parquet", ".feather", ".dta", ".xlsx")
_NAMED = (*DOCUMENTS, *RESTRUCTURED, *PAGES, *DATABASES, *LOGS, "")
"""Kinds that are read where they are named; in a folder they are no tables."""
_TABLES = {".tex": latex_table, **dict.fromkeys(RESTRUCTURED, rst_table)}

_MARKDOWN = re.compile(r"(?m)^\s*\|?\s*:?-{3,}:?\s*\|")
"""The line below the names of Markdown's tables, which documents of other suffixes have too."""

_BY_PANDAS = (
    'python -c "import sys, pandas; pandas.{how}'
    ".to_csv(sys.argv[1] + '.csv', index=False)\" {path}"
)
_SHEETS = "save it as .xlsx or .csv, or pip install python-calamine, then " + _BY_PANDAS.format(
    how="read_excel(sys.argv[1], engine='calamine')", path="{path}"
)
_PICKLE = "if you trust it: " + _BY_PANDAS.format(how="read_pickle(sys.argv[1])", path="{path}")
_YAML = (
    'python -c "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), '
    'default=str))" {path} > {path}.json'
)
_TOML = (
    'python -c "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], '
    "'rb')), default=str))\" {path} > {path}.json"
)
_REMEDIES = {
    **dict.fromkeys((".xls", ".xlsb", ".ods"), _SHEETS),
    **dict.fromkeys((".pkl", ".pickle"), _PICKLE),
    ".npz": 'python -c "import sys, numpy, pandas; pandas.DataFrame(dict(numpy.load(sys.argv[1])))'
    ".to_csv(sys.argv[1] + '.csv', index=False)\" {path}",
    ".pdf": "copy the table into a .tsv file",
    ".rds": "Rscript -e \"a <- commandArgs(TRUE)[1]; write.csv(readRDS(a), paste0(a, '.csv'))\" "
    "{path}",
    **dict.fromkeys((".yaml", ".yml"), _YAML),
    ".toml": _TOML,
}
"""What to do about files that are no tables of ours."""


def is_table(path: Path) -> bool:
    """Whether a file's suffix is that of a table, packed or not, in any case."""
    return kind_of(path) in TABLE_SUFFIXES


def read_frame(path: Path, *, as_text: bool = False) -> pd.DataFrame:
    """The rows of a file; names are unique.

    ``attrs["lines"]`` has the line of each row where the file has lines, ``attrs["twice"]`` the
    columns of each name that stands there more than once, ``attrs["said"]`` what else a reader
    should know. Lines at the top that begin with ``#`` are skipped. With ``as_text`` the fields of
    a text are the text that stands there, an empty field is an empty text.

    Raises
    ------
    ValueError
        If the file is empty, or not of the kind that its suffix says.
    """
    import pandas as pd

    kind = kind_of(path)
    if kind not in (*TABLE_SUFFIXES, *_NAMED):
        if kind in _REMEDIES:
            remedy = _REMEDIES[kind].format(path=shlex.quote(str(path)))
            raise ValueError(f"{path}: {kind} is not read; {remedy}")
        kinds = ", ".join((*TABLE_SUFFIXES, *_NAMED[:-1], *ARCHIVES))
        raise ValueError(
            f"{path}: a table is one of {kinds}, or one of these packed as {', '.join(PACKINGS)}; "
            f"not {kind!r}: save it as .csv"
        )
    try:
        return _frame_of(path, kind, as_text)
    except PermissionError:
        raise ValueError(f"{path}: you may not read this file; change its permissions") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8"
        ) from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: the file is empty; a table has a line of names") from None
    except pd.errors.ParserError as error:
        said = str(error).split("C error: ")[-1].strip()
        raise ValueError(f"{path}: {said}; check the quotes and separators there") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from None


def _frame_of(path: Path, kind: str, as_text: bool) -> pd.DataFrame:
    import pandas as pd

    if kind in (".parquet", ".feather", ".dta"):
        return _read_binary(path, kind)
    if kind in DATABASES:
        return read_database(path)
    if kind == ".xlsx":
        return _read_sheet(path, as_text)
    if kind in _LINES:
        return _read_lines(path)
    text, encoding = decoded(path, is_page=kind in PAGES)
    if kind in (*DOCUMENTS, *RESTRUCTURED, *PAGES):
        return _read_document(text, kind, as_text)
    if kind == ".json" or text.lstrip().startswith(("[{", "[\n", "{")):  # or by another name
        return _read_lines(path) if _is_json_lines(text) else pd.DataFrame(json_rows(path))
    if _MARKDOWN.search(text):
        return _read_document(text, ".md", as_text)
    if kind in LOGS or _begins_as_log(text):
        return _read_log(text)
    frame = read_text(text, as_text)
    if encoding == "Windows-1252":
        _say(frame, f"the text is taken as {encoding}, as it is not UTF-8")
    return frame


def _read_document(text: str, kind: str, as_text: bool) -> pd.DataFrame:
    """The largest table of a document; of a page its rows have numbers in place of lines."""
    table = _TABLES.get(kind, html_table if kind in PAGES else markdown_table)
    text, count = table(text)
    frame = read_text(text, as_text)
    if kind in PAGES:
        frame.attrs["lines"] = Lines(f"row {i} of the table" for i in range(1, len(frame) + 1))
    if count > 1:
        _say(frame, f"the largest of {count} tables is read")
    return frame


def _begins_as_log(text: str) -> bool:
    """Whether the first lines all name the same numbers, which a line of names does not."""
    first = "\n".join(line for line in text.splitlines()[:40] if line.strip())
    rows, _, others = log_rows(first)
    return bool(rows) and not others and "," not in first.splitlines()[0]


def _read_log(text: str) -> pd.DataFrame:
    """The lines of a log that name the same numbers."""
    import pandas as pd

    rows, lines, others = log_rows(text)
    if not rows:
        raise ValueError("no three lines have the same names and numbers (step 1 loss 3.2)")
    frame: pd.DataFrame = pd.DataFrame(rows).map(number_of)
    frame.attrs["lines"] = row_lines(lines, 1, len(frame))
    if others:
        frame.attrs["said"] = f"{len(rows)} lines of the log are read; {others} others are not"
    return frame


def _is_json_lines(text: str) -> bool:
    first, *more = text.strip().splitlines() or [""]
    try:
        return bool(more) and first.startswith("{") and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _read_binary(path: Path, kind: str) -> pd.DataFrame:
    """A file that pandas wrote, with its index as columns where that has names."""
    import pandas as pd

    content = io.BytesIO(content_of(path))
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(content)
        else:
            frame = pd.read_feather(content) if kind == ".feather" else pd.read_stata(content)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        first = str(error).splitlines()[0]
        raise ValueError(f"{path}: it is no {kind} file ({first}); write it again") from None
    return frame.reset_index() if any(frame.index.names) else frame


def _read_lines(path: Path) -> pd.DataFrame:
    import pandas as pd

    numbered = [(line, row) for line, each in json_objects(path) for row in expanded(each)]
    frame = pd.DataFrame([row for _, row in numbered])
    frame.attrs["lines"] = row_lines([number for number, _ in numbered], 1, len(frame))
    return frame


def _read_sheet(path: Path, as_text: bool) -> pd.DataFrame:
    """The fullest sheet of a workbook, read as the text that it would be saved as."""
    import zipfile

    import pandas as pd

    try:
        sheets = pd.read_excel(
            io.BytesIO(content_of(path)), sheet_name=None, header=None, engine="openpyxl"
        )
    except ImportError:
        raise ValueError(
            f"{path} is a workbook: pip install openpyxl to have it read, or save it as .csv"
        ) from None
    except (zipfile.BadZipFile, KeyError):
        raise ValueError(f"{path}: it is no .xlsx workbook; save it again, or as .csv") from None
    cells = {name: int(sheet.notna().sum().sum()) for name, sheet in sheets.items()}
    filled = [name for name, sheet in sheets.items() if len(sheet) > 1]
    if not filled:
        raise ValueError(f"{path}: no sheet has rows; a table has a line of names")
    taken = max(filled, key=lambda name: cells[name])
    sheet = sheets[taken].loc[:, sheets[taken].notna().any().cummax()]  # from the first column on
    frame = read_text(sheet.to_csv(index=False, header=False), as_text)
    if empty := [repr(str(name)) for name in frame if frame[name].isna().all()]:
        said = "a formula has no value until a spreadsheet program saves the workbook"
        _say(frame, f"nothing below {', '.join(empty)}: {said}")
    if len(filled) > 1:
        others = ", ".join(repr(name) for name in filled if name != taken)
        _say(frame, f"sheet {taken!r} is read, as it is the fullest; not {others}")
    return frame


def _say(frame: pd.DataFrame, text: str) -> None:
    """Put a text into ``attrs["said"]``, after what is there."""
    frame.attrs["said"] = "; ".join(filter(None, (frame.attrs.get("said"), text)))
