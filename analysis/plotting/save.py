"""How a figure is written: as PNG, PDF or SVG, equal for equal input."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from analysis.plotting.draw import Look, draw
from analysis.plotting.picture import Picture
from analysis.plotting.style import styled

FORMATS = ("png", "pdf", "svg")
Drawable = Figure | Picture | Callable[[Look | None], Figure]
"""What can be written: a picture, a figure, or what draws one in a look."""


def save(figure: Drawable, path: Path, look: Look | None = None) -> Path:
    """Write a figure to ``path``; the suffix chooses PNG (200 dpi), PDF or SVG.

    Parameters
    ----------
    figure : Picture, matplotlib Figure, or what draws one in a look
    path : Path
        Its folder is made.
    look : Look, optional
        Style, width and size of text; a figure that is drawn already keeps its own.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"{path}: a figure is written as .{', .'.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(figure, Picture):
        drawn = draw(figure, look)
    else:
        drawn = figure if isinstance(figure, Figure) else figure(look)
    with styled():
        drawn.savefig(path, format=kind, metadata=_undated(kind))
    return path


def save_all(figures: Mapping[str, Drawable], path: Path, look: Look | None = None) -> list[Path]:
    """Write one figure to ``path``; of several, each to its name put before the suffix."""
    several = len(figures) > 1
    return [
        save(figure, path.with_stem(f"{path.stem}-{name}") if several else path, look)
        for name, figure in figures.items()
    ]


def svg(figure: Figure | Picture, name: str) -> str:
    """A figure as an ``<svg>`` element whose ids start from ``name``, equal for equal input."""
    buffer = io.StringIO()
    drawn = draw(figure) if isinstance(figure, Picture) else figure
    with styled(), matplotlib.rc_context({"svg.hashsalt": name}):
        drawn.savefig(buffer, format="svg", transparent=True, metadata=_undated("svg"))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _undated(kind: str) -> dict[str, None]:
    """No date inside, so that equal figures are equal files."""
    return {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
