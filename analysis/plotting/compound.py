"""Figures of compound scaling: the axes at equal FLOPs, and the surface of a coefficient search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.designs import log_ratios, surface_at
from analysis.plotting.style import (
    BLUE,
    COLOURS,
    GREEN,
    INK,
    ORANGE,
    VERMILION,
    log_axis,
    loss_axis,
    new_figure,
    styled,
)
from analysis.tables import usable, with_complexity

if TYPE_CHECKING:
    import pandas as pd

    from analysis.designs import AxisComparison, Coefficients

AXIS_COLOURS = {"compound": VERMILION, "depth": BLUE, "width": GREEN, "resolution": ORANGE}
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])


def axes_at_equal_flops(runs: pd.DataFrame, found: AxisComparison) -> Figure:
    """Error against forward FLOPs along each axis, and each axis over compound scaling."""
    percent = 100 if found.metric == "error" else 1
    table = usable(with_complexity(runs), found.metric, "flops_forward")
    with styled():
        figure, (left, right) = new_figure(8.0, 3.3, 2)
        base = table[table["axis"] == "base"]
        left.scatter(
            base["flops_forward"], percent * base[found.metric], s=42, marker="*", color=INK,
            label="base model", zorder=4,
        )  # fmt: skip
        for curve in found.curves:
            colour = AXIS_COLOURS[curve.axis]
            ratio = np.geomspace(1, curve.max_ratio, 60)
            middle, low, high = found.predict(curve.axis, ratio)
            mine = table[table["axis"] == curve.axis]
            x = ratio * found.base_flops
            if np.isfinite(low).all():
                left.fill_between(x, percent * low, percent * high, color=colour, alpha=0.13, lw=0)
            left.plot(x, percent * middle, color=colour, label=curve.axis)
            left.scatter(
                mine["flops_forward"], percent * mine[found.metric], s=14, color=colour, lw=0,
                zorder=3,
            )  # fmt: skip
        left.set_xlabel("Forward FLOPs")
        log_axis(left.xaxis, counts=True)
        loss_axis(left, "Held-out error (%)" if percent == 100 else "Held-out loss")
        left.legend(loc="best")
        others = [curve.axis for curve in found.curves if curve.axis != "compound"]
        right.axhline(0, color=VERMILION, lw=1.4)
        for i, axis in enumerate(others):
            rows = [row for row in found.equal_flops if row.axis == axis and np.isfinite(row.ratio)]
            x = np.array([row.flops_ratio for row in rows]) * 1.05 ** (i - (len(others) - 1) / 2)
            y = 100 * (np.array([row.ratio for row in rows]) - 1)
            ends = 100 * (np.array([row.ratio_ci for row in rows]).reshape(-1, 2).T - 1)
            colour = AXIS_COLOURS[axis]
            right.plot(x, y, "o", ms=4, color=colour, label=axis)
            right.vlines(x, *ends, color=colour, lw=1.2)
        right.set_xlabel("Forward FLOPs over the base model's")
        right.set_ylabel(f"{found.metric} over compound's (%)")
        right.set_xscale("log", base=2)
        right.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        right.xaxis.set_minor_locator(NullLocator())
        right.set_title("at equal FLOPs; above 0: worse", fontweight="normal", fontsize=8.5)
        if others:
            right.legend(loc="best")
    return figure


def coefficient_surface(runs: pd.DataFrame, found: Coefficients) -> Figure:
    """The response surface over shares of FLOPs, the cells, and the lowest point's bootstrap."""
    percent = 100 if found.metric == "error" else 1
    table = usable(runs[runs["axis"] == "search"], found.metric)
    logs = log_ratios(table)
    logs = logs[logs.sum(axis=1) > 0]
    cells = logs / logs.sum(axis=1, keepdims=True) @ _CORNERS
    steps = np.linspace(0, 1, 81)
    a, b = (v.ravel() for v in np.meshgrid(steps, steps, indexing="ij"))
    inside = a + b <= 1 + 1e-9
    shares = np.column_stack([a, b, 1 - a - b])[inside]
    height = percent * surface_at(found, shares)
    x, y = (shares @ _CORNERS).T
    with styled():
        figure = Figure(figsize=(5.2, 4.3))
        axes = figure.subplots()
        filled = axes.tricontourf(x, y, height, levels=14, cmap=COLOURS)
        filled.set_edgecolor("face")  # no hairlines between the levels in PDF and SVG
        drawn = found.draws @ _CORNERS
        axes.scatter(drawn[:, 0], drawn[:, 1], s=5, color="white", lw=0, alpha=0.25)
        axes.scatter(  # white is seen on the surface, not in the legend
            [], [], s=5, facecolors="white", edgecolors=INK, linewidths=0.4,
            label="lowest points of the bootstrap",
        )  # fmt: skip
        axes.scatter(
            cells[:, 0],
            cells[:, 1],
            s=22,
            facecolors="none",
            edgecolors=INK,
            linewidths=0.9,
            label="runs",
        )
        lowest = np.array(list(found.shares.values())) @ _CORNERS
        axes.scatter(
            lowest[0], lowest[1], s=150, marker="*", color=VERMILION, edgecolors="white",
            linewidths=0.8, zorder=5, label="lowest point",
        )  # fmt: skip
        for corner, text, dy in zip(
            _CORNERS, ("depth alone", "width alone", "resolution alone"), (-0.06, -0.06, 0.05),
            strict=True,
        ):  # fmt: skip
            axes.text(corner[0], corner[1] + dy, text, ha="center", va="center", color=INK)
        axes.set_xlim(-0.12, 1.12)
        axes.set_ylim(-0.14, 0.98)
        axes.set_aspect("equal")
        axes.set_axis_off()
        bar = figure.colorbar(filled, ax=axes, pad=0.01, aspect=30, fraction=0.045)
        bar.set_label("error (%)" if percent == 100 else "loss", color=INK)
        bar.outline.set_visible(False)
        p, ci = found.params, found.ci
        words = ", ".join(
            f"$\\{name}$ = {p[name]:.2f} ({ci[name][0]:.2f} to {ci[name][1]:.2f})" for name in p
        )
        care = "" if found.status == "ok" else f"\nstatus: {found.status}"
        axes.set_title(words + care, fontweight="normal", fontsize=8.5)
        axes.legend(loc="upper left", fontsize=7, bbox_to_anchor=(-0.08, 0.98))
    return figure
