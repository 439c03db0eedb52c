"""Figure of how good models are against each of their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from analysis.plotting.style import INK, MUTED, SERIES, log_axis, loss_axis, styled

if TYPE_CHECKING:
    import pandas as pd

    from analysis.designs import Pareto

LABELS = {
    "flops_forward": "forward FLOPs",
    "num_params": "parameters",
    "activations": "activations",
    "inference_seconds": "inference time per example (ms)",
    "seconds_per_example": "training time per example (ms)",
    "kwh_estimated": "energy of the run (Wh, estimated)",
}
_SCALE = {"inference_seconds": 1e3, "seconds_per_example": 1e3, "kwh_estimated": 1e3}
NARROW = 4.0  # the range of a log axis below which ticks are better spaced evenly
MARKERS = ("o", "s", "^", "D", "v", "P")


def pareto(found: Pareto) -> Figure:
    """One panel a cost; the line joins the models that no other beats in both."""
    percent = 100 if found.metric == "error" else 1
    models = found.models
    kind = next((k for k in ("family", "space", "axis") if _tells(models, k)), "family")
    kinds = list(dict.fromkeys(models[kind])) if kind in models.columns else [""]
    columns = min(3, len(found.costs))
    rows = -(-len(found.costs) // columns)
    with styled():
        figure = Figure(figsize=(2.9 * columns, 2.6 * rows))
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in panels.ravel()[len(found.costs) :]:
            axes.set_visible(False)
        for axes, cost in zip(panels.ravel(), found.costs, strict=False):
            scale = _SCALE.get(cost, 1.0)
            best = models.iloc[list(found.frontier[cost])]
            axes.plot(
                scale * best[cost], percent * best[found.metric], color=INK, lw=1.0, zorder=2,
                label="frontier",
            )  # fmt: skip
            for i, name in enumerate(kinds):
                mine = models[models[kind] == name] if name else models
                axes.errorbar(
                    scale * mine[cost], percent * mine[found.metric], yerr=percent * mine["sd"],
                    fmt=MARKERS[i % len(MARKERS)], ms=4, lw=0.8, color=SERIES[i % len(SERIES)],
                    mec="white", mew=0.4, label=name or "models", zorder=3,
                )  # fmt: skip
            on = axes.scatter(
                scale * best[cost], percent * best[found.metric], s=46, facecolors="none",
                edgecolors=INK, linewidths=0.9, zorder=4,
            )  # fmt: skip
            on.set_label("on the frontier")
            axes.set_xlabel(LABELS[cost])
            log_axis(axes.xaxis, counts=cost not in _SCALE, most=4)
            if cost in _SCALE:
                axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
            if models[cost].max() < NARROW * models[cost].min():
                axes.xaxis.set_major_locator(MaxNLocator(3))
                axes.xaxis.set_minor_locator(NullLocator())
        for axes in panels[:, 0]:
            loss_axis(axes, "held-out error (%)" if percent == 100 else "held-out loss")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=min(6, len(labels)))
        if models["sd"].notna().any():
            figure.text(
                0.995, 0.995, "bars: ± standard deviation over seeds",
                ha="right", va="top", fontsize=7, color=MUTED,
            )  # fmt: skip
    return figure


def _tells(models: pd.DataFrame, kind: str) -> bool:
    """Whether a column names more than one kind of model."""
    return kind in models.columns and models[kind].nunique() > 1
