"""Figures of what to train next: iso-FLOP curves, the plan, and predictions of held-out runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.compute import IsoFlop, group_budgets, is_profile
from analysis.plotting.runs import data_label, loss_label, used
from analysis.plotting.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    VERMILION,
    Shades,
    log_axis,
    loss_axis,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compute import Allocation


def isoflop(runs: pd.DataFrame, found: IsoFlop | None = None) -> Figure:
    """Loss against N at each budget of three sizes or more, with the minima and their line.

    Runs of other budgets are grey points: two sizes are no profile.
    """
    table = used(runs)
    flops = table["flops"].to_numpy(dtype=float)
    n, loss = (table[k].to_numpy(dtype=float) for k in ("num_params", "loss"))
    with styled():
        figure, axes = new_figure()
        shades = Shades(flops)
        other: list[NDArray[np.intp]] = []
        for members in group_budgets(flops):
            colour = shades(float(np.median(flops[members])))
            order = members[np.argsort(n[members])]
            if not is_profile(n[order], flops[order]):
                other.append(order)
                continue
            axes.scatter(n[order], loss[order], s=14, color=colour, lw=0, alpha=0.85)
            if found is not None and found.method == "parabola":
                x = np.log(n[order])
                grid = np.linspace(x[0], x[-1], 80)
                curve = np.polyval(np.polyfit(x - x[0], loss[order], 2), grid - x[0])
                axes.plot(np.exp(grid), curve, color=colour, lw=1.2)
            else:
                axes.plot(n[order], loss[order], color=colour, lw=1.0, alpha=0.8)
        if other:
            rest = np.concatenate(other)
            axes.scatter(n[rest], loss[rest], s=8, color=MUTED, lw=0, alpha=0.5, zorder=1,
                         label="no budget with three sizes")  # fmt: skip
        if found is not None:
            good = [m for m in found.minima if m.status == "ok"]
            axes.scatter(
                [m.num_params for m in good],
                [m.loss for m in good],
                marker="*",
                s=90,
                color=VERMILION,
                edgecolors="white",
                linewidths=0.6,
                zorder=4,
                label=f"minimum of a budget ({found.method})",
            )
            low, high = np.array([m.ci() for m in good]).reshape(-1, 2).T
            height = [m.loss for m in good]
            if np.isfinite(low).all():
                axes.hlines(height, low, high, color=VERMILION, lw=3, alpha=0.5, zorder=3,
                            label="90 % interval of the true N*")  # fmt: skip
            if np.isfinite(found.a):
                axes.plot([m.num_params for m in good], height, color=VERMILION, lw=0.8, ls=":",
                          zorder=3)  # fmt: skip
            axes.set_title(_exponent(found), fontweight="normal")
            axes.legend(loc="best")
        axes.set_xlabel("Parameters N")
        log_axis(axes.xaxis, counts=True)
        loss_axis(axes, loss_label(runs))
        shades.bar(figure, axes, "Compute C (FLOPs)", counts=False)
    return figure


def _exponent(found: IsoFlop) -> str:
    """The exponent with its interval as a title, or that there is none."""
    if not np.isfinite(found.a):
        return found.status.capitalize()
    low, high = found.ci()["a"]
    title = f"$N^* \\propto C^{{\\,{found.a:.3f}}}$"
    return title + (f"   (90 %: {low:.3f} to {high:.3f})" if np.isfinite(low) else "")


def plan(allocations: Sequence[Allocation], runs: pd.DataFrame | None = None) -> Figure:
    """N*, D* and L* against C with their intervals, beside the runs and their largest C."""
    flops = np.array([a.flops for a in allocations])
    order = np.argsort(flops)
    parts = (
        ("num_params", "Parameters N*", BLUE, True),
        ("num_tokens", f"{data_label(runs).capitalize()} D*" if runs is not None else
         "Training tokens (examples) D*", ORANGE, True),
        ("loss", loss_label(runs) if runs is not None else "Loss", VERMILION, False),
    )  # fmt: skip
    table = None if runs is None else used(runs)
    with styled():
        figure, panels = new_figure(8.4, 2.9, 3)
        for axes, (name, label, colour, counts) in zip(panels, parts, strict=True):
            value = np.array([getattr(a, name) for a in allocations])[order]
            low, high = np.array([getattr(a, f"{name}_ci") for a in allocations])[order].T
            if np.isfinite(low).all():
                axes.fill_between(flops[order], low, high, color=colour, alpha=0.18, lw=0)
            axes.plot(flops[order], value, color=colour, lw=1.8)
            if table is not None and name in table.columns and "flops" in table.columns:
                axes.scatter(table["flops"], table[name], s=6, color=MUTED, lw=0, alpha=0.7)
                largest = float(table["flops"].max())
                axes.axvline(largest, color=MUTED, lw=0.8, ls=(0, (2, 2)))
            axes.set_xlabel("Compute C (FLOPs)")
            axes.set_title(label, fontsize=8.5)
            if counts:
                axes.set_yscale("log")
                log_axis(axes.yaxis, counts=True, most=6)
            else:
                loss_axis(axes, "")
            log_axis(axes.xaxis, counts=False, most=4)
        said = {
            "forecast": Line2D([], [], color=INK, lw=1.8),
            "its interval": Patch(color=INK, alpha=0.18, lw=0),
            "runs": Line2D([], [], color=MUTED, marker="o", ms=3, lw=0),
            "largest run": Line2D([], [], color=MUTED, lw=0.8, ls=(0, (2, 2))),
        }
        shown = list(said)[: 4 if table is not None else 2]
        figure.legend([said[name] for name in shown], shown, loc="outside lower center", ncols=4)
    return figure


def predictions(
    names: Sequence[str],
    predicted: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    actual: Sequence[float],
) -> Figure:
    """Held-out runs: prediction and interval, in percent of the measured loss."""
    rows = np.arange(len(names))[::-1]
    truth = np.asarray(actual, dtype=float)
    middle = 100 * (np.asarray(predicted) / truth - 1)
    low, high = 100 * (np.asarray(intervals, dtype=float).T / truth - 1)
    with styled():
        figure, axes = new_figure(8.4, 0.9 + 0.3 * len(names))
        axes.axvline(0, color=VERMILION, lw=1.4, label="measured")
        axes.hlines(rows, low, high, color=BLUE, lw=7, alpha=0.25, label="interval")
        axes.scatter(middle, rows, marker="|", s=130, color=BLUE, lw=2, zorder=3, label="predicted")
        axes.set_yticks(rows, names)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("difference from the measured loss (%)")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper right", ncols=3)
    return figure
