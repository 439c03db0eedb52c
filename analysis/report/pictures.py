"""Figures and formulas as SVG elements of the page: the only text that is not escaped."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from analysis.plotting import GRID, INK, MUTED, PAPER, svg

if TYPE_CHECKING:
    from analysis.fits import Fit

_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--card)"}


def inline(figure: Figure, name: str) -> Markup:
    """``figure`` as an SVG element that takes the page's colours, light or dark."""
    return _themed(svg(figure, name), name)


def typeset(fit: Fit) -> Markup:
    """The fitted law typeset, with its plain text for screen readers."""
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
        return Markup(fit.formula("html"))
    text = buffer.getvalue()
    return _themed(text[text.index("<svg") :], fit.formula())


def _themed(text: str, label: str) -> Markup:
    for colour, variable in _THEME.items():
        text = text.replace(colour, variable)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    return Markup(f'{opening} role="img" aria-label="{escape(label)}">{rest}')
