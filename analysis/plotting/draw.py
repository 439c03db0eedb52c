"""``draw``: a picture as a matplotlib figure, in the look and size that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading
from analysis.plotting.settle import settle
from analysis.plotting.style import INK, MUTED, Shades, log_axis, styled
from analysis.wording import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASE = 9.0  # points, of the text of a figure as it is designed
ROOM = 0.6  # inches of width a point of text; with less a legend would cover what is drawn
EVEN = 4.0  # times from end to end of a log axis, below which ticks are better spaced evenly
LETTERS = 60  # of a label in a legend
NARROW = 2.2  # inches a panel: narrower ones stand below each other
COLUMNS = {
    "single": 89 / 25.4, "double": 183 / 25.4, "icml": 3.25, "icml-double": 6.75,
    "neurips": 5.5, "iclr": 5.5, "acl": 3.03, "acl-double": 6.3, "jmlr": 6.0,
}  # fmt: skip
"""Widths of a text column, inches: single and double as in Nature, others by their style files."""


@dataclass(frozen=True)
class Look:
    """How figures are drawn: for paper or slides, how wide, with text of which size.

    Attributes
    ----------
    style : str
        ``paper`` or ``slides``: larger text, thicker lines, 10 inches wide.
    width : float, optional
        Inches.
    font_size : float, optional
        Points; of paper 9, in a column narrower than the figure 7, of slides 18.

    Raises
    ------
    ValueError
        If one of them is not known or no size.
    """

    style: str = "paper"
    width: float | None = None
    font_size: float | None = None

    def __post_init__(self) -> None:
        if self.style not in ("paper", "slides"):
            raise ValueError(f"--style {self.style}: there are paper and slides")
        if self.width is not None and not 1 <= self.width <= 40:
            raise ValueError(f"--width {self.width:.3g} inches: a figure has 1 to 40")
        if self.font_size is not None and not 4 <= self.font_size <= 60:
            raise ValueError(f"--font-size {self.font_size:g}: text has 4 to 60 points")

    def scale(self, designed: float) -> tuple[float, float]:
        """Width of a figure designed so many inches wide, and the factor of its text and lines."""
        slides = self.style == "slides"
        width = self.width or (10.0 if slides else designed)
        usual = 18.0 if slides else BASE if width >= min(designed, 5.2) else 7.0
        return width, (self.font_size or usual) / BASE

    def size(self, picture: Picture) -> tuple[float, float, float]:
        """Width and height in inches, and the factor of text and lines."""
        width, factor = self.scale(picture.width)
        across = 1 if is_stacked(picture, width) else picture.in_a_row
        rows = -(-len(picture.panels) // across)
        if any(panel.y.names for panel in picture.panels):
            return width, picture.height * factor, factor
        share = picture.height / (picture.width / picture.in_a_row)
        each = width / across * (min(share, 0.66) if across < picture.in_a_row else share)
        return width, rows * max(each, 2.2 * factor), factor


def width_of(text: str) -> float:
    """Inches of ``89mm``, ``3.5in``, ``8.9cm`` or the name of a column.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> width_of("25.4mm"), width_of("icml")
    (1.0, 3.25)
    """
    if text in COLUMNS:
        return COLUMNS[text]
    for unit, inches in (("mm", 1 / 25.4), ("cm", 1 / 2.54), ("in", 1.0)):
        number = text.removesuffix(unit)
        if number != text:
            try:
                return float(number) * inches
            except ValueError:
                break
    raise ValueError(
        f"--width {text}: write a length as 89mm, 8.9cm or 3.5in, or a column: {', '.join(COLUMNS)}"
    )


def is_stacked(picture: Picture, width: float) -> bool:
    """Whether the panels are too narrow beside each other."""
    return picture.in_a_row > 1 and width / picture.in_a_row < NARROW


def draw(picture: Picture, look: Look | None = None) -> Figure:
    """``picture`` as a figure; no two of its labels overlap."""
    look = look or Look()
    width, height, factor = look.size(picture)
    stacked = is_stacked(picture, width)
    with styled(factor):
        figure = Figure(figsize=(width, height))
        across = 1 if stacked else picture.in_a_row
        shape = -(-len(picture.panels) // across), across
        grid = figure.subplots(*shape, sharey=picture.share_y, squeeze=False).ravel()
        for axes in grid[len(picture.panels) :]:
            axes.set_visible(False)
        grid = grid[: len(picture.panels)]
        shades = Shades(picture.shading)
        for i, (axes, panel) in enumerate(zip(grid, picture.panels, strict=True)):
            for layer in panel.layers:
                _DRAW[layer.kind](axes, layer, shades, factor)
            shown = panel.y.label if not picture.share_y or i % across == 0 else ""
            _set_axis(axes.xaxis, panel, panel.x, factor)
            _set_axis(axes.yaxis, panel, panel.y, factor)
            axes.set_ylabel(shown)
            if panel.title:
                weight = "bold" if panel.bold else "normal"
                axes.set_title(panel.title, fontsize=8.5 * factor, fontweight=weight)
        if picture.shading is not None:
            _bar(figure, list(grid), picture.shading, shades)
        _legend(figure, list(grid), picture)
        if picture.note:
            most = int(130 * width / (7 * factor))
            text = "\n".join(wrap(picture.note, most))
            figure.supxlabel(text, fontsize=7 * factor, color=MUTED)
        settle(figure)
    return figure


def _points(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    colour = _colour(layer, shades)
    options: dict[str, Any] = {"s": layer.size * factor**2, "zorder": layer.order}
    if layer.marker == "D":
        options |= {"marker": "D", "facecolors": "none", "edgecolors": colour, "linewidths": 1.3}
    elif layer.marker == "|":
        options |= {"marker": "|", "color": colour, "linewidths": 2 * factor}
    elif layer.marker == "O":
        options |= {"facecolors": "none", "edgecolors": colour, "linewidths": 0.9}
    elif layer.marker in "*P":
        options |= {"marker": layer.marker, "color": colour, "edgecolors": "white"}
        options["linewidths"] = 0.6
    else:
        edge = 0.4 if layer.size >= 15 else 0
        options |= {
            "marker": layer.marker,
            "color": colour,
            "edgecolors": "white" if edge else "none",
            "linewidths": edge,
        }
    axes.scatter(layer.x, layer.y, alpha=_alpha(layer), label=layer.label or None, **options)


def _alpha(layer: Layer) -> float | None:
    return layer.alpha if layer.alpha < 1 else None


def _colour(layer: Layer, shades: Shades) -> Any:
    return layer.colour or INK if layer.shade is None else shades(layer.shade)


def _stroke(layer: Layer, shades: Shades, factor: float) -> dict[str, Any]:
    found = {
        "color": _colour(layer, shades), "lw": layer.width * factor, "alpha": _alpha(layer),
        "zorder": layer.order, "label": layer.label or None,
    }  # fmt: skip
    return {**found, "ls": (0, layer.dash)} if layer.dash else found


def _line(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    stroke = _stroke(layer, shades, factor)
    axes.plot(layer.x, layer.y, **{**stroke, "label": layer.label or "_line"})
    if layer.says:
        axes.annotate(
            layer.says, (layer.x[-1], layer.y[-1]), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7 * factor, color=MUTED, gid="says", annotation_clip=False,
        )  # fmt: skip


def _band(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    axes.fill_between(
        layer.x, layer.y, layer.to, color=_colour(layer, shades), alpha=layer.alpha, lw=0,
        label=layer.label or None,
    )  # fmt: skip


def _bars(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    stroke = _stroke(layer, shades, factor)
    if layer.kind == "hbars":
        axes.hlines(layer.y, layer.x, layer.to, **stroke)
    else:
        axes.vlines(layer.x, layer.y, layer.to, **stroke)


def _rule(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    stroke = _stroke(layer, shades, factor)
    for value in layer.x if layer.kind == "vrule" else layer.y:
        (axes.axvline if layer.kind == "vrule" else axes.axhline)(value, **stroke)
        stroke["label"] = None


def _span(axes: Axes, layer: Layer, shades: Shades, factor: float) -> None:
    across = axes.axvspan if layer.kind == "vspan" else axes.axhspan
    for low, high in zip(layer.x if layer.kind == "vspan" else layer.y, layer.to, strict=True):
        across(low, high, color=_colour(layer, shades), alpha=layer.alpha, lw=0,
               label=layer.label or None)  # fmt: skip


_DRAW = {
    "points": _points, "line": _line, "band": _band, "hbars": _bars, "vbars": _bars,
    "hrule": _rule, "vrule": _rule, "hspan": _span, "vspan": _span,
}  # fmt: skip


def _set_axis(axis: Any, panel: Panel, told: Axis, factor: float) -> None:
    """Label, scale, ends and numbers of one axis."""
    axes, is_x = axis.axes, axis.axis_name == "x"
    axis.set_label_text(told.label)
    if told.names:
        (axes.set_xticks if is_x else axes.set_yticks)(range(len(told.names)), told.names)
        axes.grid(axis=axis.axis_name, visible=False)
        axes.tick_params(axis=axis.axis_name, length=0)
        axes.spines["bottom" if is_x else "left"].set_visible(False)
    is_log = panel.is_log("x" if is_x else "y")
    if is_log:
        (axes.set_xscale if is_x else axes.set_yscale)("log")
    if told.low is not None or told.high is not None:
        (axes.set_xlim if is_x else axes.set_ylim)(told.low, told.high)
    most = max(3, round(told.most / factor**0.5))
    if told.names:
        return
    if not is_log:
        axis.set_major_locator(MaxNLocator(min(most, 7), steps=[1, 2, 2.5, 5, 10]))
        return
    if told.numbers != "few":
        log_axis(axis, told.numbers == "counts", most)
        low, high = sorted(axis.get_view_interval())
        if high / low < EVEN:
            axis.set_major_locator(MaxNLocator(min(most, 4)))
            axis.set_minor_locator(NullLocator())
        return
    low, high = sorted(axis.get_view_interval())
    wide = high / low > EVEN
    axis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 3.0, 5.0), numticks=20)
        if wide
        else MaxNLocator(min(most, 7), steps=[1, 2, 5, 10])
    )
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
    axis.set_minor_locator(NullLocator())


def _bar(figure: Figure, grid: Sequence[Axes], shading: Shading, shades: Shades) -> None:
    """The colour bar beside the panels."""
    bar = figure.colorbar(shades.mappable, ax=grid, pad=0.015, aspect=32, fraction=0.06)
    bar.set_label(shading.label)
    bar.outline.set_visible(False)
    log_axis(bar.ax.yaxis, shading.numbers == "counts")
    bar.ax.minorticks_off()


def _legend(figure: Figure, grid: Sequence[Axes], picture: Picture) -> None:
    """One entry a label; in ink where panels give it several colours."""
    if not picture.legend:
        return
    found: dict[str, list[Any]] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, []).append(handle)
    if not found:
        return
    labels = [cut(label, LETTERS) for label in found]
    handles = [_in_ink(of[0]) if len(set(map(_hue, of))) > 1 else of[0] for of in found.values()]
    size = float(matplotlib.rcParams["legend.fontsize"])
    small = figure.get_figwidth() / size < ROOM
    if small or picture.legend in ("above", "below"):
        where = f"outside {'lower center' if picture.legend == 'below' else 'upper left'}"
        figure.legend(handles, labels, loc=where, ncols=_columns(figure, labels))
    else:
        grid[0].legend(handles, labels, loc=picture.legend)


def _columns(figure: Figure, labels: Sequence[str]) -> int:
    """As many entries side by side as there is room for."""
    size = float(matplotlib.rcParams["legend.fontsize"])
    each = (0.56 * max(map(len, labels)) + 4.5) * size / 72
    return max(1, min(len(labels), int(figure.get_figwidth() / each)))


def _hue(handle: Any) -> str:
    """The colour of a line, of points or of a band."""
    if isinstance(handle, Line2D):
        return to_hex(handle.get_color())
    colours = [*np.atleast_2d(handle.get_facecolor()), *np.atleast_2d(handle.get_edgecolor())]
    return next((to_hex(colour) for colour in colours if len(colour)), "")


def _in_ink(handle: Any) -> Any:
    """A handle of the same form in ink."""
    if isinstance(handle, Line2D):
        return Line2D([], [], color=INK, lw=handle.get_linewidth(), ls=handle.get_linestyle())
    if hasattr(handle, "get_offsets") and len(np.atleast_1d(handle.get_sizes())):
        return Line2D([], [], color=MUTED, marker="o", ms=3, lw=0)
    return Patch(color=INK, alpha=0.18, lw=0)
