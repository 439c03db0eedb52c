"""Small pieces of HTML for the report: tables, numbers, formulas and inlined figures."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from analysis.plotting import GRID, INK, MUTED, PAPER, svg

if TYPE_CHECKING:
    from analysis.fits import Fit

Cell = str | tuple[str, str]
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--card)"}


def table_html(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table; a cell is HTML, or HTML and the class of its ``<td>`` (``number``, ``wide``)."""
    kinds = [
        "number" if any(_kind(row[i]) == "number" for row in rows) else ""
        for i in range(len(header))
    ]
    head = "".join(
        f"<th class='{kind}'>{escape(name)}</th>" if kind else f"<th>{escape(name)}</th>"
        for name, kind in zip(header, kinds, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='scroll'>{table}</div>"


def _kind(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{cell}</td>"
    return f"<td class='{cell[1]}'>{cell[0]}</td>"


def card(body: str) -> str:
    """``body`` in a framed box."""
    return f"<div class='card'>{body}</div>"


def number(value: float, form: str = ".4g") -> Cell:
    """A right-aligned number; empty if it is not finite."""
    return (f"{value:{form}}" if math.isfinite(value) else "", "number")


def inline(figure: Figure, name: str) -> str:
    """``figure`` as an SVG element that takes the page's colours, light or dark."""
    return _themed(svg(figure, name), name)


def formula_html(fit: Fit) -> str:
    """The fitted law typeset, with its plain text for screen readers."""
    plain = escape(fit.formula())
    figure = Figure(figsize=(0.01, 0.01))
    latex = f"${fit.formula('latex')}$"
    figure.text(0, 0, latex, fontsize=17, color=INK, math_fontfamily="cm")
    buffer = io.StringIO()
    try:
        with matplotlib.rc_context({"svg.hashsalt": "formula"}):
            figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                bbox_inches="tight",
                pad_inches=0.05,
                metadata={"Date": None},
            )
    except ValueError:  # not in the subset of LaTeX that matplotlib typesets
        return fit.formula("html")
    text = buffer.getvalue()
    return _themed(text[text.index("<svg") :], plain)


def _themed(text: str, label: str) -> str:
    for colour, variable in _THEME.items():
        text = text.replace(colour, variable)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    return f'{opening} role="img" aria-label="{escape(label)}">{rest}'
