"""Figures of effective compute: what reaching a loss took, and what a sweep emits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.efficiency import Emissions, Reached, Trend, envelope
from analysis.plotting.picture import Axis, Layer, Panel, Picture, loss_y
from analysis.plotting.style import BLUE, INK, MUTED, SERIES, VERMILION

if TYPE_CHECKING:
    import pandas as pd


def efficiency(
    found: Sequence[Reached],
    line: Trend | None,
    runs: pd.DataFrame | None,
    curves: pd.DataFrame | None,
    by: str,
    metric: str,
    target: float | None,
) -> Picture:
    """The frontier of each group and where it meets the target; the factor over time.

    Raises
    ------
    ValueError
        If there is neither a target nor a date.
    """
    panels = []
    if runs is not None and target is not None:
        panels.append(_frontiers(found, runs, curves, by, metric, target))
    if any(np.isfinite(one.date) and np.isfinite(one.factor) for one in found):
        panels.append(_over_time(found, line))
    if not panels:
        raise ValueError("nothing to draw: give a --target, or a column of dates (--date-col)")
    return Picture(panels, width=4.6 * len(panels), height=3.3, legend="above",
                   columns=len(panels))  # fmt: skip


def _frontiers(
    found: Sequence[Reached],
    runs: pd.DataFrame,
    curves: pd.DataFrame | None,
    by: str,
    metric: str,
    target: float,
) -> Panel:
    layers = [Layer("hrule", y=target, colour=MUTED, dash=(4, 2), width=1.0, label="target")]
    for i, one in enumerate(found):
        colour = SERIES[i % len(SERIES)]
        c, y = envelope(runs[runs[by].astype(str) == one.group], metric, curves)
        layers.append(Layer("line", c, y, colour=colour, label=one.group))
        if np.isfinite(one.flops):
            low, high = one.flops_ci
            layers.append(
                Layer("points", one.flops, target, marker="*", size=80.0, colour=colour, order=4)
            )
            if np.isfinite(low):
                layers.append(Layer("hbars", low, target, high, colour=colour, width=2.0))
    return Panel(layers, Axis("training compute (FLOPs)", log=True, numbers="powers", most=5),
                 loss_y(metric))  # fmt: skip


def _over_time(found: Sequence[Reached], line: Trend | None) -> Panel:
    known = [one for one in found if np.isfinite(one.date) and np.isfinite(one.factor)]
    layers = []
    if line is not None:
        dates = np.linspace(min(o.date for o in known), max(o.date for o in known), 50)
        centre, low, high = line.at(dates)
        months = f"doubles each {line.doubling_months:.3g} months"
        layers += [
            Layer("band", dates, low, high, colour=BLUE, alpha=0.18,
                  label=f"{100 * line.level:g} % of the line"),
            Layer("line", dates, centre, colour=BLUE, label=months, alpha=0.5, width=1.0),
        ]  # fmt: skip
    for one in known:
        layers.append(Layer("line", [one.date], [one.factor], colour=INK, says=one.group))
    layers.append(
        Layer("points", [o.date for o in known], [o.factor for o in known], colour=INK, order=4)
    )
    span = max(o.date for o in known) - min(o.date for o in known)
    ends = Axis("date", low=min(o.date for o in known) - 0.05 * span,
                high=max(o.date for o in known) + 0.25 * span)  # fmt: skip
    return Panel(layers, ends, Axis("efficiency factor", log=True, numbers="counts"))


def emissions(found: Emissions, name: str) -> Picture:
    """kg CO2e of a sweep beside those of Strubell et al.'s table, on a log axis, least first."""
    rows = sorted({**found.beside, name: found.kg_co2e}.items(), key=lambda row: row[1])
    least = 10 ** np.floor(np.log10(min(kg for _, kg in rows)) - 0.5)
    layers = [
        Layer("hbars", least, i, kg, width=9.0, colour=VERMILION if what == name else BLUE)
        for i, (what, kg) in enumerate(rows)
    ]
    layers += [
        Layer("line", [kg], [i], says=f" {kg:,.0f}" if kg >= 10 else f" {kg:.2g}")
        for i, (_, kg) in enumerate(rows)
    ]
    most = max(kg for _, kg in rows)
    return Picture(
        [
            Panel(
                layers,
                Axis("kg CO2e", log=True, numbers="powers", low=least, high=30 * most, most=6),
                Axis(names=[what for what, _ in rows]),
            )
        ],
        width=6.2,
        height=3.0,
        note=f"{found.kwh:.3g} kWh at {found.kg_co2e_per_kwh:.3f} kg/kWh, PUE {found.pue:g}; "
        "others: Strubell et al. 2019, table 1",
    )
