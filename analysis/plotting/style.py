"""One look for every figure: sizes, colours, number formats, and how a figure is written.

Figures are made without pyplot, so no global state and no window. Series are coloured by a
quantity along the part of viridis that stands out from the ground (readable on paper, in grey and
by people with any colour vision); single lines take the palette of Okabe and Ito (2008), its orange
darker. Every colour has a contrast of 3 or more with white (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.plotting.picture import Shading
from analysis.wording import count

INK, MUTED, GRID, PAPER = "#24292f", "#6e7781", "#d8dee4", "#ffffff"
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#b07800", "#009e73", "#d55e00", "#aa4499"
THEME = {
    INK: "ink", MUTED: "muted", GRID: "line", PAPER: "card", BLUE: "blue", ORANGE: "orange",
    GREEN: "green", VERMILION: "vermilion", PURPLE: "purple",
}  # fmt: skip
"""Names of the colours, by which a page has others in the dark."""
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, INK)
SHADES = 24
_LIGHT, _DARK = (0.0, 0.58), (0.44, 1.0)  # of viridis: contrast of 3 with white, with near black
ON_WHITE, ON_BLACK = (
    tuple(to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(*ends, SHADES)))
    for ends in (_LIGHT, _DARK)
)
COLOURS = ListedColormap(list(ON_WHITE), "depth")
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
def styled(factor: float = 1.0) -> Iterator[None]:
    """The style, for the time of the ``with`` block; text and lines ``factor`` times as large."""
    sized = {
        name: factor * value
        for name, value in _STYLE.items()
        if isinstance(value, float) and name.endswith(("size", "width"))
    }
    with matplotlib.rc_context(_STYLE | sized):
        yield


def new_figure(
    width: float = 5.2, height: float = 3.7, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of ``width`` x ``height`` inches and its axes (an array when ``columns`` > 1)."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(1, columns, **options)


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
    """The colours of a shading: one of ``SHADES`` for each value."""

    def __init__(self, shading: Shading | None) -> None:
        self.shading = shading or Shading("", 1.0, 10.0)
        self.mappable = ScalarMappable(LogNorm(self.shading.low, self.shading.high), COLOURS)

    def __call__(self, values: Any) -> Any:
        """The colour of a value, or of each."""
        places = (self.shading.at(values) * (SHADES - 1)).round().astype(int)
        return ON_WHITE[int(places)] if places.ndim == 0 else [ON_WHITE[i] for i in places]
