"""Tables within documents, Markdown's and LaTeX's, as text that ``read_text`` takes.

Rows stay on their lines, so that what is said of a line is true of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from scaling.table_file.lines import on_their_lines

DOCUMENTS = (".md", ".markdown", ".org", ".tex")

_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*([|+]\s*:?-*:?\s*)*")
"""The line below the names of a table in Markdown, or in Org mode (``|---+---|``)."""
_EMPHASIS = re.compile(r"\*\*|__|`|</?(?!sup\b)[a-z]+\s*/?>|</sup>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLANKS = re.compile(r" *\| *")

_TABULAR = re.compile(
    r"\\begin\{(tabularx?\*?|longtable|tblr|NiceTabular|array)\}(.*?)\\end\{\1\}", re.DOTALL
)
_BEFORE_ROWS = re.compile(r"\s*(\[[^\]]*\])?\{[^{}]*(\{[^{}]*\}[^{}]*)*\}")
"""Position and columns, between ``\\begin{tabular}`` and the rows."""
_WIDTH = re.compile(r"\s*\{[^{}]*\}")
_WITH_WIDTH = ("tabularx", "tabular*", "tabularx*")
_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_LINES = re.compile(
    r"\\(toprule|midrule|bottomrule|hline|endhead|endfirsthead|endfoot|endlastfoot)\b"
    r"(\[[^\]]*\])?|\\(cmidrule|cline|addlinespace|rowcolor|specialrule|arrayrulecolor)"
    r"(\([^)]*\)|\[[^\]]*\]|\{[^}]*\})*"
)
_SPANS = re.compile(r"\\multicolumn\s*\{(\d+)\}\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}\s*")
_MULTIROW = re.compile(r"\\multirow\s*(\[[^\]]*\])?\{[^{}]*\}(\[[^\]]*\])?\{[^{}]*\}")
_FOOTNOTE = re.compile(r"\\(footnote|tnote|cite[tp]?|label|ref)\*?(\[[^\]]*\])?\{[^{}]*\}")
_STYLE = re.compile(
    r"\\(bf|it|tt|rm|em|small|footnotesize|scriptsize|tiny|centering|bfseries|quad|displaystyle"
    r"|rotatebox\{\d+\}|textcolor\{\w+\}|text\w*|math\w*|emph|underline|uline|num|makecell"
    r"|mbox)(?![a-z])\s*"
)
_WRITTEN = ((r"\&", "&"), (r"\%", "%"), (r"\_", "_"), (r"\#", "#"), (r"\$", ""), (r"\,", ""),
            (r"\;", " "), (r"\ ", " "), (r"\!", ""), (r"\dagger", "†"), (r"\ddagger", "‡"),
            (r"\ast", "*"), ("{,}", ","), ("~", " "), ("$", ""), (".\\", "."))  # fmt: skip


def markdown_table(text: str) -> tuple[str, int]:
    """The largest table with bars in ``text``, other lines blank, and how many tables there are.

    Raises
    ------
    ValueError
        If there is none.
    """
    lines = text.splitlines()
    tables: list[tuple[int, int]] = []
    for i, line in enumerate(lines):
        if i and "|" in line and _RULE.fullmatch(line) and "|" in lines[i - 1]:
            end = i + 1
            while end < len(lines) and "|" in lines[end]:
                end += 1
            tables.append((i - 1, end))
    if not tables:
        raise ValueError("there is no table with bars (| a | b |) in it; save the table as .csv")
    first, end = max(tables, key=lambda ends: lines[ends[0]].count("|") * (ends[1] - ends[0]))
    kept = ["" if _RULE.fullmatch(line) else _BLANKS.sub("|", _marked(line))
            for line in lines[first:end]]  # fmt: skip
    return "\n" * first + "\n".join(kept), len(tables)


def _marked(line: str) -> str:
    """A line of Markdown without links, emphasis and HTML; ``10<sup>9</sup>`` is ``10^9``."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", line)).replace("<sup>", "^")


def latex_table(text: str) -> tuple[str, int]:
    """The largest tabular in ``text`` with tabs between fields, and how many there are.

    Rows without ``\\begin{tabular}`` are one.

    Raises
    ------
    ValueError
        If there is none.
    """
    text = _COMMENT.sub("", text)
    bodies = [(found[2], found[1], found.start(2)) for found in _TABULAR.finditer(text)]
    if not bodies and "&" in text:
        bodies = [(text, "", 0)]
    tables = [
        [*_latex_rows(_after_columns(body, kind), text.count("\n", 0, start))]
        for body, kind, start in bodies
    ]
    tables = [rows for rows in tables if len(rows) > 1]
    if not tables:
        raise ValueError("there is no tabular (rows with & and \\\\) in it; save the table as .csv")
    rows = max(tables, key=lambda rows: sum(len(row) for _, row in rows))
    return on_their_lines(rows), len(tables)


def _after_columns(body: str, kind: str) -> str:
    """The rows of a tabular, without what says its width and columns."""
    if kind in _WITH_WIDTH and (width := _WIDTH.match(body)):
        body = body[width.end() :]
    begin = _BEFORE_ROWS.match(body)
    return body[begin.end() :] if kind and begin else body


def _latex_rows(body: str, line: int) -> Iterable[tuple[int, list[str]]]:
    """The rows of a tabular, each with the number of its line from 0."""
    for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline", body):
        plain = _LINES.sub(" ", row)
        if plain.strip() and "&" in plain:
            cells = [cell for each in re.split(r"(?<!\\)&", plain) for cell in _latex_cell(each)]
            yield line + row[: len(row) - len(row.lstrip())].count("\n"), cells
        line += row.count("\n")


def _latex_cell(cell: str) -> list[str]:
    """A cell as plain text, with empty ones where it spans more columns."""
    spans = _SPANS.search(cell)
    plain = _STYLE.sub("", _FOOTNOTE.sub("", _MULTIROW.sub("", _SPANS.sub("", cell))))
    for written, means in _WRITTEN:
        plain = plain.replace(written, means)
    plain = re.sub(r"\\(?!times|cdot|pm)[a-zA-Z]+\s*", " ", plain)  # arrows, sizes, colours
    if not re.search(r"[\^_]\{", plain):  # 10^{9} keeps its braces
        plain = plain.replace("{", "").replace("}", "")
    return [" ".join(plain.split()), *[""] * (int(spans[1]) - 1 if spans else 0)]
