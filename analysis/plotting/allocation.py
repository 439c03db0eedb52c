"""Figures of what to train next: iso-FLOP curves, the plan, and predictions of held-out runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.compute import IsoFlop, group_budgets, is_profile
from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading, log_x, loss_y
from analysis.plotting.runs import data_label, loss_label, run_ids, used
from analysis.plotting.style import BLUE, MUTED, ORANGE, VERMILION

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compute import Allocation


def isoflop(runs: pd.DataFrame, found: IsoFlop | None = None) -> Picture:
    """Loss against N at each budget of three sizes or more, with the minima and their line.

    Runs of other budgets are grey points: two sizes are no profile.
    """
    table = used(runs)
    flops = table["flops"].to_numpy(dtype=float)
    n, loss = (table[k].to_numpy(dtype=float) for k in ("num_params", "loss"))
    ids = np.array(run_ids(table), dtype=object)
    layers: list[Layer] = []
    other: list[NDArray[np.intp]] = []
    for members in group_budgets(flops):
        order = members[np.argsort(n[members])]
        if not is_profile(n[order], flops[order]):
            other.append(order)
            continue
        at: dict[str, Any] = {"shade": float(np.median(flops[members])), "runs": list(ids[order])}
        layers.append(Layer("points", n[order], loss[order], size=14.0, alpha=0.85, **at))
        x, y = n[order], loss[order]
        if found is not None and found.method == "parabola":
            logs = np.log(x)
            grid = np.linspace(logs[0], logs[-1], 80)
            x, y = np.exp(grid), np.polyval(np.polyfit(logs - logs[0], y, 2), grid - logs[0])
        layers.append(Layer("line", x, y, shade=at["shade"], width=1.2))
    if other:
        rest = np.concatenate(other)
        layers.append(
            Layer("points", n[rest], loss[rest], size=8.0, colour=MUTED, alpha=0.5, order=1,
                  runs=list(ids[rest]), label="no budget with three sizes")
        )  # fmt: skip
    title = ""
    if found is not None:
        layers += _minima(found)
        title = _exponent(found)
    panel = Panel(layers, log_x("Parameters N"), loss_y(loss_label(runs)), title)
    return Picture([panel], Shading.of(flops, "Compute C (FLOPs)", "powers"))


def _minima(found: IsoFlop) -> list[Layer]:
    """The minima, where the true ones may lie, and the line through them."""
    good = [m for m in found.minima if m.status == "ok"]
    low, high = np.array([m.ci() for m in good]).reshape(-1, 2).T
    x, height = [m.num_params for m in good], [m.loss for m in good]
    label = f"minimum of a budget ({found.method})"
    layers = [
        Layer("points", x, height, marker="*", size=90.0, colour=VERMILION, order=4, label=label)
    ]
    if np.isfinite(low).all():
        layers.append(
            Layer("hbars", low, height, high, colour=VERMILION, width=3, alpha=0.5, order=3,
                  label="90 % interval of the true N*")
        )  # fmt: skip
    if np.isfinite(found.a):
        layers.append(
            Layer("line", x, height, colour=VERMILION, width=0.8, dash=(1, 1.65), order=3)
        )
    return layers


def _exponent(found: IsoFlop) -> str:
    """The exponent with its interval as a title, or that there is none."""
    if not np.isfinite(found.a):
        return found.status.capitalize()
    low, high = found.ci()["a"]
    title = f"$N^* \\propto C^{{\\,{found.a:.3f}}}$"
    return title + (f"   (90 %: {low:.3f} to {high:.3f})" if np.isfinite(low) else "")


def plan(allocations: Sequence[Allocation], runs: pd.DataFrame | None = None) -> Picture:
    """N*, D* and L* against C with their intervals, beside the runs and their largest C."""
    flops = np.array([a.flops for a in allocations])
    order = np.argsort(flops)
    unit = "Training tokens (examples)" if runs is None else data_label(runs).capitalize()
    counts: dict[str, Any] = {"log": True, "numbers": "counts", "most": 6}
    parts: tuple[tuple[str, str, str, Any], ...] = (
        ("num_params", "Parameters N*", BLUE, Axis(**counts)),
        ("num_tokens", f"{unit} D*", ORANGE, Axis(**counts)),
        ("loss", "Loss" if runs is None else loss_label(runs), VERMILION, loss_y("")),
    )
    table = None if runs is None else used(runs)
    panels = []
    for name, label, colour, up in parts:
        value = np.array([getattr(a, name) for a in allocations])[order]
        low, high = np.array([getattr(a, f"{name}_ci") for a in allocations])[order].T
        layers = [Layer("line", flops[order], value, colour=colour, width=1.8, label="forecast")]
        if np.isfinite(low).all():
            layers.append(
                Layer("band", flops[order], low, high, colour=colour, alpha=0.18, order=1,
                      label="its interval")
            )  # fmt: skip
        if table is not None and {name, "flops"} <= set(table.columns):
            layers += [
                Layer("points", table["flops"], table[name], size=6.0, colour=MUTED, alpha=0.7,
                      label="runs", runs=run_ids(table)),
                Layer("vrule", [float(table["flops"].max())], colour=MUTED, width=0.8, dash=(2, 2),
                      label="largest run"),
            ]  # fmt: skip
        across = Axis("Compute C (FLOPs)", log=True, numbers="powers", most=4)
        panels.append(Panel(layers, across, up, label, bold=True))
    return Picture(panels, width=8.4, height=2.9, legend="below")


def predictions(
    names: Sequence[str],
    predicted: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    actual: Sequence[float],
    runs: Sequence[str] = (),
) -> Picture:
    """Held-out runs: prediction and interval, in percent of the measured loss."""
    rows = np.arange(len(names))[::-1]
    truth = np.asarray(actual, dtype=float)
    middle = 100 * (np.asarray(predicted) / truth - 1)
    low, high = 100 * (np.asarray(intervals, dtype=float).T / truth - 1)
    layers = [
        Layer("vrule", [0.0], colour=VERMILION, width=1.4, label="measured"),
        Layer("hbars", low, rows, high, colour=BLUE, width=7, alpha=0.25, label="interval"),
        Layer("points", middle, rows, marker="|", size=130.0, colour=BLUE, order=3,
              label="predicted", runs=runs),
    ]  # fmt: skip
    up = Axis(names=tuple(names)[::-1], low=-0.7, high=len(names) - 0.3)
    panel = Panel(layers, Axis("difference from the measured loss (%)"), up)
    return Picture([panel], width=8.4, height=0.9 + 0.3 * len(names), legend="above")
