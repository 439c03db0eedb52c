"""Figures of design spaces: error distributions, and error against design parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.plotting.picture import Axis, Layer, Panel, Picture
from analysis.plotting.runs import loss_label, run_ids
from analysis.plotting.style import SERIES

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


def edf(report: SpaceReport) -> Picture:
    """The share of models below each error, with bootstrap bands."""
    percent = 100 if report.metric == "error" else 1
    layers = []
    for i, space in enumerate(report.spaces):
        colour = SERIES[i % len(SERIES)]
        x = np.repeat(percent * space.at, 2)[1:]  # steps: each share holds until the next error
        low, high, share = (
            np.repeat(values, 2)[:-1] for values in (space.low, space.high, space.share)
        )
        median, best = percent * space.median, percent * space.best
        label = f"{space.name}: median {median:.3g}, best {best:.3g} (n={space.n_models})"
        layers += [
            Layer("band", x, low, high, colour=colour, alpha=0.15, order=1),
            Layer("line", x, share, colour=colour, label=label),
        ]
    title = ""
    if len(report.comparisons) == 1:
        test = report.comparisons[0]
        title = f"Kolmogorov-Smirnov distance {test.statistic:.2f}, p = {test.p_value:.2g}"
    across = Axis(_measured(report))
    up = Axis("Share of models below", low=0.0, high=1.02)
    return Picture([Panel(layers, across, up, title)], legend="lower right",
                   note="band: bootstrap interval")  # fmt: skip


def parameters(report: SpaceReport) -> Picture:
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
    up = Axis(_measured(report))
    panels = []
    for name in names:
        layers: list[Layer] = []
        for i, space in enumerate(report.spaces):
            colour = SERIES[i % len(SERIES)]
            mine = report.table[report.table["space"] == space.name]
            if name not in mine.columns:
                continue
            layers.append(
                Layer("points", mine[name], percent * mine[report.metric], size=9.0, alpha=0.7,
                      colour=colour, order=3, label=space.name, runs=run_ids(mine))
            )  # fmt: skip
            for best in report.parameters:
                if best.parameter == name and best.space == space.name:
                    layers += [
                        Layer("vspan", [best.low], to=[best.high], colour=colour, alpha=0.10),
                        Layer("vrule", [best.middle], colour=colour, width=1.1, dash=(3, 2)),
                    ]
        across = Axis(LABELS.get(name, name), log=name in _LOG, numbers="counts", most=4)
        panels.append(Panel(layers, across, up))
    columns = min(4, len(names))
    return Picture(
        panels,
        width=2.5 * columns,
        height=2.4,
        legend="above",
        share_y=True,
        columns=columns,
        note="band: 95 % of the best of a random quarter; line: its median",
    )


def _measured(report: SpaceReport) -> str:
    """The axis of what was measured, with its unit."""
    return "Held-out error (%)" if report.metric == "error" else loss_label(report.table)
