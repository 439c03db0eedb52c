"""One look for every figure: sizes, colours, number formats, and how a figure is written.

Figures are made without pyplot, so no global state and no window. Series are coloured by a
quantity along viridis without its lightest end (readable on paper, in grey and by people with
any colour vision); single lines take the palette of Okabe and Ito (2008).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.wording import count

INK, MUTED, GRID, PAPER = "#24292f", "#6e7781", "#d8dee4", "#ffffff"
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#aa4499"
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, INK)
COLOURS = LinearSegmentedColormap.from_list(
    "depth", matplotlib.colormaps["viridis"](np.linspace(0.18, 0.87, 256))
)
FORMATS = ("png", "pdf", "svg")
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": PAPER,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "scaling-lab",
    "pdf.fonttype": 42,
}


@contextmanager
def styled() -> Iterator[None]:
    """The style, for the time of the ``with`` block."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(
    width: float = 5.2, height: float = 3.7, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of ``width`` x ``height`` inches and its axes (an array when ``columns`` > 1)."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(1, columns, **options)


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` to ``path``; the suffix chooses PNG (200 dpi), PDF or SVG.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"{path}: a figure is written as .{', .'.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        figure.savefig(path, format=kind, metadata=_undated(kind))
    return path


def save_all(figures: Mapping[str, Figure], path: Path) -> list[Path]:
    """Write one figure to ``path``; of several, each to its name put before the suffix."""
    several = len(figures) > 1
    return [
        save(figure, path.with_stem(f"{path.stem}-{name}") if several else path)
        for name, figure in figures.items()
    ]


def svg(figure: Figure, name: str) -> str:
    """``figure`` as an ``<svg>`` element whose ids start from ``name``, equal for equal input."""
    buffer = io.StringIO()
    with styled(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_undated("svg"))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _undated(kind: str) -> dict[str, None]:
    """No date inside, so that equal figures are equal files."""
    return {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]


def power(value: float, digits: int = 1) -> str:
    """A large number as mathtext: ``3.2 x 10^18``."""
    exponent = int(np.floor(np.log10(value)))
    mantissa = value / 10.0**exponent
    if round(mantissa, digits) == 1:
        return f"$10^{{{exponent}}}$"
    return f"${mantissa:.{digits}f}\\times10^{{{exponent}}}$"


def log_axis(axis: Any, counts: bool, most: int = 8) -> None:
    """A log axis (``axes.xaxis`` or ``axes.yaxis``) labelled 1K, 10M, ... or by powers of ten.

    It stays linear where what is drawn is not all positive.
    """
    axes: Axes = axis.axes
    if min(axis.get_data_interval()) <= 0:
        return
    (axes.set_xscale if axis.axis_name == "x" else axes.set_yscale)("log")
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 1.0
    subs = (1.0,) if decades > 2.2 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    stride = max(1, int(np.ceil(decades / most)))
    axis.set_major_locator(LogLocator(base=10.0**stride, subs=subs, numticks=20))
    axis.set_minor_formatter(NullFormatter())
    if counts:
        axis.set_major_formatter(FuncFormatter(lambda v, _: count(v)))
    else:
        axis.set_major_formatter(FuncFormatter(lambda v, _: power(v, 0)))


def loss_axis(axes: Axes, label: str) -> None:
    """A log loss axis with plain decimal ticks; linear where not all that is drawn is positive."""
    axes.set_ylabel(label)
    if min(axes.yaxis.get_data_interval()) <= 0:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low > 4:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0), numticks=20))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
    axes.yaxis.set_minor_locator(NullLocator())


class Shades:
    """Colours for the values of one quantity on a log scale, and its colour bar."""

    def __init__(self, values: Any) -> None:
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values) & (values > 0)]
        low, high = (values.min(), values.max()) if len(values) else (1.0, 10.0)
        if high / low < 1.01:
            low, high = low / 2, high * 2
        self.norm = LogNorm(low, high)

    def __call__(self, value: Any) -> Any:
        """The colour of ``value``."""
        return COLOURS(self.norm(value))

    def bar(self, figure: Figure, axes: Any, label: str, counts: bool = True) -> None:
        """Draw the colour bar beside ``axes``."""
        bar = figure.colorbar(
            ScalarMappable(self.norm, COLOURS), ax=axes, pad=0.015, aspect=32, fraction=0.06
        )
        bar.set_label(label)
        bar.outline.set_visible(False)
        log_axis(bar.ax.yaxis, counts)
        bar.ax.minorticks_off()
