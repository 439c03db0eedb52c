"""Figures of the runs themselves: loss against compute, loss against size, residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from analysis.compute import AsFitted, cost_of, curve_points, lower_envelope, plan
from analysis.plotting.style import (
    BLUE,
    INK,
    MUTED,
    SERIES,
    VERMILION,
    Shades,
    log_axis,
    loss_axis,
    new_figure,
    styled,
)
from analysis.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit

MANY = 300
"""Points from which on they are drawn small and without an outline, which would hide the others."""
_HELD_OUT = {"s": 46, "marker": "D", "facecolors": "none", "linewidths": 1.3, "zorder": 4}


def _points(runs: pd.DataFrame) -> dict[str, Any]:
    """How the points of ``runs`` are drawn."""
    if len(runs) < MANY:
        return {"s": 18, "linewidths": 0.4, "edgecolors": "white", "zorder": 3}
    return {"s": 9, "linewidths": 0, "zorder": 3}


def used(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows without an ``exclude_reason``."""
    return runs[runs["exclude_reason"] == ""] if "exclude_reason" in runs.columns else runs


def need(runs: pd.DataFrame, *names: str) -> None:
    """``ValueError`` if a figure's column is not there, or holds nothing."""
    for name in names:
        if name not in runs.columns:
            raise ValueError(
                f"this figure needs the column {name}; the table has {', '.join(map(str, runs))}"
            )
        if not runs[name].notna().any():
            raise ValueError(
                f"this figure needs {name}, and none of {len(runs)} rows has it; check --where"
            )


def loss_label(runs: pd.DataFrame) -> str:
    """``Held-out loss (nats/token)`` for runs of our own, ``Loss`` for a foreign table.

    ``Held-out error`` where that column was taken for the loss.
    """
    if (
        "error" in runs.columns
        and runs["loss"].notna().any()
        and runs["loss"].equals(runs["error"])
    ):
        return "Held-out error"
    units = set(runs["data_unit"]) - {""} if "data_unit" in runs.columns else set()
    return f"Held-out loss (nats/{units.pop()})" if len(units) == 1 else "Loss"


def data_label(runs: pd.DataFrame) -> str:
    """``training tokens`` or ``training examples``."""
    units = set(runs["data_unit"]) - {""} if "data_unit" in runs.columns else set()
    return f"training {units.pop()}s" if len(units) == 1 else "training tokens"


def frontier(
    runs: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    fit: Fit | None = None,
    holdout: pd.DataFrame | None = None,
) -> Figure:
    """Loss against training FLOPs: learning curves, final losses and the efficient frontier."""
    need(runs, "num_params", "num_tokens", "flops", "loss")
    table = used(runs)
    with styled():
        figure, axes = new_figure()
        shades = Shades(runs["num_params"])
        if curves is not None and len(curves):
            points = curve_points(runs, curves)
            for _, curve in points.groupby("run_id"):
                size = float(curve["num_params"].iloc[0])
                axes.plot(curve["flops"], curve["loss"], color=shades(size), lw=0.7, alpha=0.45)
        colours = shades(table["num_params"])
        axes.scatter(table["flops"], table["loss"], c=colours, **_points(table), label="runs")
        everything = table if holdout is None else _join(table, holdout)
        envelope = lower_envelope(everything["flops"], everything["loss"])
        at = everything.iloc[envelope].sort_values("flops")
        if fit is None:
            axes.plot(at["flops"], at["loss"], color=INK, lw=1.6, label="lowest loss measured")
        else:
            flops = np.geomspace(float(table["flops"].min()), 10 * float(table["flops"].max()), 60)
            best = plan(AsFitted(replace(fit, draws=None)), list(flops), cost=cost_of(table))
            axes.plot(
                flops,
                [b.loss for b in best],
                color=VERMILION,
                lw=1.8,
                ls=(0, (5, 2)),
                label="compute-efficient frontier of the fit",
            )
        _mark_holdout(axes, holdout, "flops")
        axes.set_xlabel("Training compute (FLOPs)")
        losses = everything["loss"]
        axes.set_ylim(None, float(losses.max()) * 1.12)
        axes.set_xlim(float(everything["flops"].min()) / 3, None)
        log_axis(axes.xaxis, counts=False)
        loss_axis(axes, loss_label(runs))
        axes.legend(loc="lower left")
        shades.bar(figure, axes, "Parameters N")
    return figure


def scaling(
    runs: pd.DataFrame, fit: Fit | None = None, holdout: pd.DataFrame | None = None
) -> Figure:
    """Loss against N, coloured by D, with the fitted law at several D and its 90 % intervals.

    For a law in one variable, loss against that variable; for another, measured against fitted.
    """
    if fit is not None and not fit.in_plane:
        one = len(fit.x_cols) == 1
        return _one_variable(runs, fit, holdout) if one else _measured(runs, fit, holdout)
    need(runs, "num_params", "num_tokens", "loss")
    table = used(runs)
    with styled():
        figure, axes = new_figure()
        tokens = table["num_tokens"] if holdout is None else _join(table, holdout)["num_tokens"]
        shades = Shades(tokens)
        colours = shades(table["num_tokens"])
        axes.scatter(table["num_params"], table["loss"], c=colours, **_points(table))
        if holdout is not None and len(holdout):
            axes.scatter(
                holdout["num_params"],
                holdout["loss"],
                edgecolors=shades(holdout["num_tokens"]),
                **_HELD_OUT,
                label="held out, not fitted",
            )
        if fit is not None:
            import pandas as pd

            sizes = table["num_params"] if holdout is None else _join(table, holdout)["num_params"]
            n = np.geomspace(float(sizes.min()) / 1.3, float(sizes.max()) * 1.3, 80)
            for i, d in enumerate(levels(tokens)):
                grid = pd.DataFrame({"num_params": n, "num_tokens": np.full_like(n, d)})
                if "num_unique_tokens" in fit.x_cols:  # as runs of that D with the most data
                    grid["num_unique_tokens"] = min(d, float(table["num_unique_tokens"].max()))
                loss = np.asarray(fit.predict(grid))
                label = {"label": "fitted law"} if i == 0 else {}
                if fit.draws is not None:
                    band = {"label": "90 % interval of a run"} if i == 0 else {}
                    low, high = fit.predict_ci(grid)
                    axes.fill_between(n, low, high, color=shades(d), alpha=0.15, lw=0, **band)
                axes.plot(n, loss, color=shades(d), lw=1.3, **label)
                axes.annotate(
                    f"D = {count(d)}",
                    (n[-1], loss[-1]),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7,
                    color=MUTED,
                )
            axes.set_xlim(n[0], n[-1] * (n[-1] / n[0]) ** 0.13)
            axes.legend(loc="upper right")
        axes.set_xlabel("Parameters N")
        log_axis(axes.xaxis, counts=True)
        loss_axis(axes, loss_label(runs))
        unit = data_label(runs)
        shades.bar(figure, axes, f"{unit.capitalize()} D")
    return figure


def levels(values: Any, most: int = 6) -> list[float]:
    """The distinct values if they are few (to 1 %), else ``most`` log-spaced in their range."""
    values = np.asarray(values, dtype=float)
    values = np.sort(values[np.isfinite(values) & (values > 0)])
    distinct = [float(v) for v in values[:1]]
    for v in values[1:]:
        if v > 1.01 * distinct[-1]:
            distinct.append(float(v))
    if len(distinct) <= most + 2:
        return distinct
    low, high = np.quantile(values, [0.02, 0.98])
    return [float(v) for v in np.geomspace(low, high, most)]


def _one_variable(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None) -> Figure:
    table, name = used(runs), fit.x_cols[0]
    with styled():
        figure, axes = new_figure()
        everything = table if holdout is None else _join(table, holdout)
        _curve(axes, everything[name], fit, BLUE, "fitted law")
        axes.scatter(table[name], table[fit.y_col], color=INK, **_points(table), label="runs")
        _mark_holdout(axes, holdout, name)
        _finish_one_variable(axes, runs, name, fit.y_col)
        axes.legend(loc="best")
    return figure


def _measured(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None) -> Figure:
    """What was measured against what a law of several variables says."""
    with styled():
        figure, axes = new_figure()
        both = [f([fit.fitted, fit.observed]) for f in (np.min, np.max)]
        axes.plot(both, both, color=MUTED, lw=0.8, label="measured as fitted")
        axes.scatter(fit.fitted, fit.observed, color=BLUE, **_points(runs), label="runs")
        if holdout is not None and len(holdout):
            axes.scatter(fit.predict(holdout), holdout[fit.y_col], edgecolors=VERMILION,
                         **_HELD_OUT, label="held out, not fitted")  # fmt: skip
        label = loss_label(runs) if fit.y_col == "loss" else fit.y_col
        axes.set_xlabel(f"{label}, by {', '.join(fit.x_cols)}")
        loss_axis(axes, label)
        if axes.get_yscale() == "log":
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(loc="best")
    return figure


def compared(groups: Mapping[str, tuple[pd.DataFrame, Fit]]) -> Figure:
    """Loss against one variable for several groups of runs, each with its own law.

    Bands are 90 % intervals of a prediction.
    """
    import pandas as pd

    with styled():
        figure, axes = new_figure()
        whole = pd.concat([runs for runs, _ in groups.values()])
        for colour, (label, (runs, fit)) in zip(cycle(SERIES), groups.items(), strict=False):
            table, name = used(runs), fit.x_cols[0]
            _curve(axes, table[name], fit, colour, f"{label}: {fit.formula()}", band=False)
            axes.scatter(table[name], table[fit.y_col], color=colour, **_points(whole))
        _finish_one_variable(axes, whole, name, fit.y_col)
        figure.legend(loc="outside upper left")
    return figure


def _curve(axes: Any, values: Any, fit: Fit, colour: str, label: str, *, band: bool = True) -> None:
    """A law from the least of ``values`` to three times the largest, with its interval."""
    import pandas as pd

    low, high = float(values.min()), float(values.max())
    x = np.geomspace(low, 3 * high, 120) if low > 0 else np.linspace(low, high, 120)
    grid = pd.DataFrame({fit.x_cols[0]: x})
    if fit.draws is not None:
        below, above = fit.predict_ci(grid)
        named = {"label": "90 % interval"} if band else {}
        axes.fill_between(x, below, above, color=colour, alpha=0.15, lw=0, **named)
    axes.plot(x, fit.predict(grid), color=colour, label=label)


def _finish_one_variable(axes: Any, runs: pd.DataFrame, name: str, y_col: str) -> None:
    known = {"num_params": "Parameters N", "num_tokens": f"{data_label(runs).capitalize()} D"}
    axes.set_xlabel(known.get(name, name))
    log_axis(axes.xaxis, counts=name != "flops")
    loss_axis(axes, loss_label(runs) if y_col == "loss" else y_col)


def residuals(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None = None) -> Figure:
    """ln(measured / predicted) in percent against N, D and C, with the band of two sigma.

    Of a fit of linear residuals, measured - predicted.
    """
    table = used(runs)
    names = [
        (name, label, counts)
        for name, label, counts in (
            ("num_params", "Parameters N", True),
            ("num_tokens", f"{data_label(runs).capitalize()} D", True),
            ("flops", "Compute C (FLOPs)", False),
        )
        if name in table.columns and table[name].notna().any()
    ]
    if not names:
        names = [(name, name, True) for name in fit.x_cols]
    left = _left(table, fit)
    unit = "%" if fit.space == "log" else ""
    sigma = float(np.std(left))
    with styled():
        figure, panels = new_figure(8.4, 2.9, len(names), sharey=True, squeeze=False)
        for axes, (name, label, counts) in zip(panels[0], names, strict=True):
            axes.axhspan(-2 * sigma, 2 * sigma, color=BLUE, alpha=0.10, lw=0)
            axes.axhline(0, color=MUTED, lw=0.8)
            axes.scatter(table[name], left, color=BLUE, **_points(table))
            if holdout is not None and len(holdout):
                axes.scatter(holdout[name], _left(holdout, fit), edgecolors=VERMILION, **_HELD_OUT)
            axes.set_xlabel(label)
            log_axis(axes.xaxis, counts, most=4)
        panels[0][0].set_ylabel(f"ln(measured / law)  ({unit})" if unit else "measured - law")
        panels[0][0].set_title(
            f"band: two standard deviations, {2 * sigma:.2g} {unit}".rstrip(),
            fontsize=8,
            fontweight="normal",
        )
    return figure


def _left(table: pd.DataFrame, fit: Fit) -> Any:
    """What a law leaves of the measured values: in percent, or as they are in linear space."""
    measured, fitted = np.asarray(table[fit.y_col], dtype=float), np.asarray(fit.predict(table))
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * np.log(measured / fitted) if fit.space == "log" else measured - fitted


def _join(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = [name for name in one.columns if name in other.columns]
    return pd.concat([one[names], other[names]], ignore_index=True) if len(other) else one


def _mark_holdout(axes: Any, holdout: pd.DataFrame | None, name: str) -> None:
    if holdout is not None and len(holdout):
        axes.scatter(
            holdout[name],
            holdout["loss"],
            edgecolors=VERMILION,
            **_HELD_OUT,
            label="held out, not fitted",
        )
