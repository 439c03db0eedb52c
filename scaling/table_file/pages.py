"""Tables of web pages, as text that ``read_text`` takes."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

PAGES = (".html", ".htm")

Cell = tuple[str, int, int]
"""Text, and the columns and rows that it spans."""
MOST = 1000
"""Columns, or rows, that a cell spans at most, as in browsers."""


def html_table(text: str) -> tuple[str, int]:
    """The table of a page that has most cells, with tabs between fields, and how many there are.

    Raises
    ------
    ValueError
        If there is none.
    """
    page = _Page()
    page.feed(text)
    page.close()
    tables = [rows for rows in page.tables if len(rows) > 1 and max(map(len, rows)) > 1]
    if not tables:
        raise ValueError(
            "there is no <table> in this page; download the file behind it, or copy the table "
            "into a .tsv file"
        )
    written = io.StringIO()
    rows = max(tables, key=lambda rows: sum(map(len, rows)))
    csv.writer(written, delimiter="\t", lineterminator="\n").writerows(_laid_out(rows))
    return written.getvalue(), len(tables)


class _Page(HTMLParser):
    """The cells of each table, one within another by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[Cell]]] = []
        self._open: list[list[list[Cell]]] = []
        self._cell: list[tuple[list[str], int, int]] = []
        self._hidden = 0
        self._raised = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._end_cell()  # of the table around it
            self._open.append([])
            self.tables.append(self._open[-1])
        elif tag in ("script", "style"):
            self._hidden += 1
        elif tag == "sup":
            self._raised = True
        elif tag == "br" and self._cell:
            self._cell[-1][0].append(" ")
        elif not self._open or tag not in ("tr", "td", "th"):
            return
        else:
            self._end_cell()
            if tag == "tr" or not self._open[-1]:
                self._open[-1].append([])
            if tag != "tr":
                spans = {name: int(v) for name, v in attrs if v and v.isdecimal() and len(v) < 5}
                across, down = (spans.get(name) or 1 for name in ("colspan", "rowspan"))
                self._cell.append(([], min(across, MOST), min(down, MOST)))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "table" and self._open:
            self._end_cell()
            self._open.pop()
        elif tag in ("script", "style"):
            self._hidden = max(self._hidden - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._cell and not self._hidden:
            power = self._raised and not data.lstrip().startswith("[")  # 10<sup>9</sup>
            self._cell[-1][0].append("^" * power + data)
        self._raised = False

    def _end_cell(self) -> None:
        """Put the cell that is open into the last row of its table."""
        if self._cell and self._open:
            words, across, down = self._cell.pop()
            self._open[-1][-1].append((" ".join("".join(words).split()), across, down))


def _laid_out(rows: list[list[Cell]]) -> list[list[str]]:
    """The text of each field: a cell that spans rows stands in all of them, one that spans columns
    in the first."""
    below: dict[tuple[int, int], str] = {}
    out: list[list[str]] = []
    for i, row in enumerate(rows):
        fields: list[str] = []
        for text, across, down in row:
            while (i, len(fields)) in below:
                fields.append(below[i, len(fields)])
            for at in range(across):
                fields.append("" if at else text)
                below |= {(i + k, len(fields) - 1): fields[-1] for k in range(1, down)}
        while (i, len(fields)) in below:
            fields.append(below[i, len(fields)])
        out.append(fields)
    width = max(map(len, out))
    return [[*fields, *[""] * (width - len(fields))] for fields in out]
