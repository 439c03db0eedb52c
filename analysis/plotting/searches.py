"""Figures of searches: the best so far against FLOPs, and rank correlation by scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.plotting.picture import Axis, Layer, Panel, Picture, log_x, loss_y
from analysis.plotting.style import INK, SERIES

if TYPE_CHECKING:
    from analysis.designs import Ranks, Searches


def search(found: Searches) -> Picture:
    """A line a strategy, its band the interval over seeds."""
    percent = 100 if found.metric == "error" else 1
    layers, several = [], False
    for i, curve in enumerate(found.curves):
        colour, seeds = SERIES[i % len(SERIES)], len(curve.runs)
        runs = f"{min(curve.runs)} to {max(curve.runs)}" if seeds > 1 else f"{curve.runs[0]}"
        label = f"{curve.strategy} ({runs} runs, {seeds} seed{'s' if seeds > 1 else ''})"
        if seeds > 1:
            several = True
            low = np.maximum(curve.low, 0.5 * curve.best)  # for a log axis
            layers.append(
                Layer("band", curve.flops, percent * low, percent * curve.high, colour=colour,
                      alpha=0.12, order=1)
            )  # fmt: skip
        layers.append(Layer("line", curve.flops, percent * curve.best, colour=colour, label=label))
    # of few seeds the first bands are far wider than all that follows
    lines = percent * np.concatenate([curve.best for curve in found.curves])
    ends = [percent * curve.low[-1] for curve in found.curves if len(curve.runs) > 1]
    low, high = 0.97 * min(lines.min(), *ends, lines.max()), 1.05 * lines.max()
    name = "Best held-out error so far (%)" if percent == 100 else "Best held-out loss so far"
    up = loss_y(name, low=max(low, 0.5 * lines.min()), high=high)
    note = f"bands: {100 * found.level:g} % interval of the mean over seeds (t)" if several else ""
    return Picture([Panel(layers, log_x("FLOPs of the search", "powers"), up)], note=note)


def ranks(found: Ranks) -> Picture:
    """Rank correlation with the largest scale, by scale, with bootstrap intervals."""
    scales = np.arange(len(found.correlations))
    layers = [Layer("hrule", y=[0.0], colour=INK, width=0.6)]
    for i, name in enumerate(("spearman", "kendall")):
        value = np.array([getattr(one, name) for one in found.correlations])
        low, high = np.array([getattr(one, f"{name}_ci") for one in found.correlations]).T
        colour = SERIES[i]
        label = {"spearman": "Spearman's rho", "kendall": "Kendall's tau"}[name]
        layers += [
            Layer("vbars", scales, low, high, width=1.2, colour=colour),
            Layer("line", scales, value, width=1.0, alpha=0.6, colour=colour),
            Layer(
                "points",
                scales,
                value,
                marker="os"[i],
                size=24.0,
                order=3,
                label=label,
                colour=colour,
            ),
        ]
    largest = found.correlations[0].largest
    names = [f"{one.scale:g}" for one in found.correlations]
    across = Axis(
        f"{found.scale} (against {largest:g})", low=-0.5, high=len(names) - 0.5, names=names
    )
    up = Axis(f"Rank correlation of {found.metric}", low=min(-0.1, *_lows(found)), high=1.04)
    n = ", ".join(str(one.n_designs) for one in found.correlations)
    return Picture(
        [Panel(layers, across, up)],
        legend="lower right",
        note=f"bars: {100 * found.level:g} % bootstrap interval; designs: {n}",
    )


def _lows(found: Ranks) -> list[float]:
    return [min(one.spearman_ci[0], one.kendall_ci[0]) for one in found.correlations]
