"""Tables of reStructuredText: grid and simple ones, and those of lists and of ``csv-table``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from scaling.table_file.lines import on_their_lines

RESTRUCTURED = (".rst", ".rest")

Rows = list[tuple[int, list[str]]]
"""The number of the line, from 0, and the fields of each row."""

_GRID = re.compile(r"\s*\+(?:[-=]+\+)+\s*")
_SIMPLE = re.compile(r"\s*=+(?:\s+=+)+\s*")
_SPANS = re.compile(r"[-\s]+")
"""Lines below names that span columns."""
_DIRECTIVE = re.compile(r"(\s*)\.\.\s+(list-table|csv-table)::")
_OPTION = re.compile(r"\s*:([\w-]+):\s*(.*)")
_ITEM = re.compile(r"(\s*)(\*\s+)?-(?:\s+(.*))?$")
_RAISED = re.compile(r"(?:\\ )?:sup:`([^`]*)`")
_LINK = re.compile(r"`([^`<]*?)\s*<[^`>]*>`_+")
_MARKUP = re.compile(r":[\w:-]+:(?=`)|\*\*|``?|(?<=\])_|\\ ?")


def rst_table(text: str) -> tuple[str, int]:
    """The largest table in ``text`` with tabs between fields, rows on their lines, and how many
    there are.

    Raises
    ------
    ValueError
        If there is none.
    """
    lines = text.splitlines()
    found = [table for table in _tables(lines) if len(table) > 1]
    if not found:
        raise ValueError(
            "there is no table in it (grid, simple, list-table or csv-table); save it as .csv"
        )
    rows = max(found, key=lambda table: sum(len(fields) for _, fields in table))
    return on_their_lines([(at, [_plain(cell) for cell in row]) for at, row in rows]), len(found)


def _tables(lines: list[str]) -> Iterable[Rows]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if directive := _DIRECTIVE.match(line):
            end = _end_of_block(lines, at + 1, len(directive[1]))
            of_kind = _of_list if directive[2] == "list-table" else _of_csv
            yield of_kind(lines, at + 1, end)
        elif _GRID.fullmatch(line):
            end = next((i for i in range(at, len(lines)) if lines[i].strip()[:1] not in ("+", "|")
                        or not lines[i].strip()), len(lines))  # fmt: skip
            yield _of_grid(lines, at, end)
        elif _SIMPLE.fullmatch(line):
            end = next((i + 1 for i in range(at + 1, len(lines)) if _SIMPLE.fullmatch(lines[i])
                        and not "".join(lines[i + 1 : i + 2]).strip()), len(lines))  # fmt: skip
            yield _of_columns(lines, at, end)
        else:
            end = at + 1
        at = end


def _end_of_block(lines: list[str], at: int, indent: int) -> int:
    """The first line from ``at`` that says something and is indented by no more."""
    rest = range(at, len(lines))
    return next((i for i in rest if lines[i].strip() and _indent(lines[i]) <= indent), len(lines))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _of_grid(lines: list[str], at: int, end: int) -> Rows:
    """Rows between lines of ``+---+``, their lines joined."""
    rows: Rows = []
    new = True
    for i in range(at, end):
        if _GRID.fullmatch(lines[i]):
            new = True
            continue
        fields = [field.strip() for field in lines[i].strip().strip("|").split("|")]
        _put(rows, i, fields, new)
        new = False
    return rows


def _of_columns(lines: list[str], at: int, end: int) -> Rows:
    """Rows under lines of ``=====``; one without a first field goes on with the row above."""
    starts = [found.start() for found in re.finditer("=+", lines[at])]
    rows: Rows = []
    for i in range(at + 1, end):
        if _SIMPLE.fullmatch(lines[i]) or _SPANS.fullmatch(lines[i]) or not lines[i].strip():
            continue
        fields = [
            lines[i][start:stop].strip()
            for start, stop in zip(starts, [*starts[1:], None], strict=True)
        ]
        _put(rows, i, fields, bool(fields[0]) or not rows)
    return rows


def _put(rows: Rows, at: int, fields: list[str], new: bool) -> None:
    if new or len(fields) != len(rows[-1][1]):
        rows.append((at, fields))
    else:
        above, before = rows[-1]
        rows[-1] = (
            above,
            [" ".join(filter(None, both)) for both in zip(before, fields, strict=True)],
        )


def _of_list(lines: list[str], at: int, end: int) -> Rows:
    """Rows of ``* - a``, ``- b``; further lines of an item go on with it."""
    rows: Rows = []
    for i in range(at, end):
        if found := _ITEM.fullmatch(lines[i]):
            if found[2] or not rows:
                rows.append((i, []))
            rows[-1][1].append((found[3] or "").strip())
        elif rows and rows[-1][1] and lines[i].strip():
            rows[-1][1][-1] = f"{rows[-1][1][-1]} {lines[i].strip()}".strip()
    return rows


def _of_csv(lines: list[str], at: int, end: int) -> Rows:
    """The names of ``:header:`` and the lines below the options."""
    rows: Rows = []
    separator = ","
    for i in range(at, end):
        option = _OPTION.fullmatch(lines[i])
        if option and option[1] == "delim":
            separator = {"tab": "\t", "space": " "}.get(option[2], option[2][:1] or ",")
        said = option[2] if option and option[1] == "header" else lines[i]
        if said.strip() and not (option and said is lines[i]):
            fields = next(csv.reader([said.strip()], delimiter=separator, skipinitialspace=True))
            rows.append((i, fields))
    return rows


def _plain(cell: str) -> str:
    """A cell without markup."""
    cell = _LINK.sub(r"\1", _RAISED.sub(r"^\1", cell))
    return " ".join(_MARKUP.sub("", cell).split())
