"""Figures of design spaces: error distributions, and error against design parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plotting.runs import loss_label
from analysis.plotting.style import MUTED, SERIES, log_axis, new_figure, styled

if TYPE_CHECKING:
    from analysis.designs import SpaceReport

LABELS = {
    "depth": "depth (blocks)",
    "width": "width (widest stage)",
    "bottleneck_ratio": "bottleneck ratio",
    "group_width": "group width",
    "e_fit": "$e_{fit}$ of a quantised line",
    "w0": "$w_0$",
    "wa": "$w_a$",
    "wm": "$w_m$",
}
_LOG = ("width", "group_width", "w0", "wa")


def edf(report: SpaceReport) -> Figure:
    """The share of models below each error, with bootstrap bands."""
    percent = 100 if report.metric == "error" else 1
    with styled():
        figure, axes = new_figure()
        for i, space in enumerate(report.spaces):
            colour = SERIES[i % len(SERIES)]
            x = percent * space.at
            axes.fill_between(x, space.low, space.high, step="post", color=colour, alpha=0.15, lw=0)
            median, best = percent * space.median, percent * space.best
            label = f"{space.name}: median {median:.3g}, best {best:.3g} (n={space.n_models})"
            axes.step(x, space.share, where="post", color=colour, label=label)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("Share of models below")
        axes.set_xlabel("Held-out error (%)" if percent == 100 else loss_label(report.table))
        axes.legend(loc="lower right", title="band: bootstrap interval")
        if len(report.comparisons) == 1:
            test = report.comparisons[0]
            axes.set_title(
                f"Kolmogorov-Smirnov distance {test.statistic:.2f}, p = {test.p_value:.2g}",
                fontweight="normal",
                fontsize=8.5,
            )
    return figure


def parameters(report: SpaceReport) -> Figure:
    """Error against each design parameter; the band holds the best models' values.

    Raises
    ------
    ValueError
        If no parameter is known of any model.
    """
    names = list(dict.fromkeys(best.parameter for best in report.parameters))
    if not names:
        raise ValueError("no design parameter is known: the source has no models, only numbers")
    percent = 100 if report.metric == "error" else 1
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with styled():
        figure = Figure(figsize=(2.5 * columns, 2.4 * rows))
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in panels.ravel()[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels.ravel(), names, strict=False):
            for i, space in enumerate(report.spaces):
                colour = SERIES[i % len(SERIES)]
                mine = report.table[report.table["space"] == space.name]
                if name not in mine.columns:
                    continue
                axes.scatter(
                    mine[name], percent * mine[report.metric], s=9, color=colour, lw=0, alpha=0.7,
                    label=space.name,
                )  # fmt: skip
                for best in report.parameters:
                    if best.parameter == name and best.space == space.name:
                        axes.axvspan(best.low, best.high, color=colour, alpha=0.10, lw=0)
                        axes.axvline(best.middle, color=colour, lw=1.1, ls=(0, (3, 2)))
            axes.set_xlabel(LABELS.get(name, name))
            if name in _LOG:
                log_axis(axes.xaxis, counts=True, most=4)
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5))
        unit = "Held-out error (%)" if percent == 100 else "Held-out loss"
        for axes in panels[:, 0]:
            axes.set_ylabel(unit)
        handles, labels = panels[0][0].get_legend_handles_labels()
        wide = columns > 1
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels) if wide else 1)
        said = ("band: 95 % of the best of a random quarter", "line: its median")
        figure.supxlabel(("; " if wide else "\n").join(said), fontsize=7, color=MUTED)
    return figure
