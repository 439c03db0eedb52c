"""Figure of how good models are against each of their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.plotting.picture import Axis, Layer, Numbers, Panel, Picture, loss_y
from analysis.plotting.runs import run_ids
from analysis.plotting.style import INK, SERIES

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
MARKERS = ("o", "s", "^", "D", "v", "P")


def pareto(found: Pareto) -> Picture:
    """One panel a cost; the line joins the models that no other beats in both."""
    percent = 100 if found.metric == "error" else 1
    models = found.models
    kind = next((k for k in ("family", "space", "axis") if _tells(models, k)), "family")
    kinds = list(dict.fromkeys(models[kind])) if kind in models.columns else [""]
    up = loss_y("held-out error (%)" if percent == 100 else "held-out loss")
    panels = []
    for cost in found.costs:
        scale = _SCALE.get(cost, 1.0)
        best = models.iloc[list(found.frontier[cost])]
        x, y = scale * best[cost], percent * best[found.metric]
        layers = [Layer("line", x, y, colour=INK, width=1.0, label="frontier")]
        for i, name in enumerate(kinds):
            mine = models[models[kind] == name] if name else models
            at, height = scale * mine[cost], percent * mine[found.metric]
            sd = percent * mine["sd"].fillna(0.0)
            look: dict[str, Any] = {"colour": SERIES[i % len(SERIES)], "order": 3.0}
            layers += [
                Layer("vbars", at, height - sd, height + sd, width=0.8, **look),
                Layer("points", at, height, marker=MARKERS[i % len(MARKERS)], size=16.0,
                      label=str(name or "models"), runs=run_ids(mine), **look),
            ]  # fmt: skip
        layers.append(
            Layer("points", x, y, marker="O", size=46.0, colour=INK, order=4,
                  label="on the frontier")
        )  # fmt: skip
        numbers: Numbers = "few" if cost in _SCALE else "counts"
        panels.append(Panel(layers, Axis(LABELS[cost], log=True, numbers=numbers, most=4), up))
    spread = models["sd"].notna().any()
    across = min(3, len(panels))
    return Picture(
        panels,
        width=2.9 * across,
        height=2.6,
        legend="above",
        share_y=True,
        columns=across,
        note="bars: ± standard deviation over seeds" if spread else "",
    )


def _tells(models: pd.DataFrame, kind: str) -> bool:
    """Whether a column names more than one kind of model."""
    return kind in models.columns and models[kind].nunique() > 1
