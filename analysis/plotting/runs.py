"""Figures of the runs themselves: loss against compute, loss against size, residuals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compute import curve_points, efficient, lower_envelope
from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading, log_x, loss_y
from analysis.plotting.style import BLUE, INK, MUTED, SERIES, VERMILION
from analysis.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit

MANY = 300
"""Points from which on they are drawn small and without an outline, which would hide the others."""
HELD_OUT = "held out, not fitted"
OWN = "90 % if the law is true"
"""A fit's own band: of its parameters and noise. What a law leaves out is a forecast's to say."""


def run_ids(runs: pd.DataFrame) -> list[str]:
    """What tells the runs apart: their ids, else names, else numbers of rows."""
    for name in ("run_id", "name"):
        if name in runs.columns and runs[name].notna().all() and (runs[name] != "").all():
            return [str(value) for value in runs[name]]
    return [str(value) for value in runs.index]


def points(
    runs: pd.DataFrame, x: str, y: Any = "loss", /, *, of: int | None = None, **told: Any
) -> Layer:
    """The points of ``runs`` over column ``x``; small if there are many (``of``, else theirs)."""
    size = 18.0 if (of or len(runs)) < MANY else 9.0
    values = runs[y] if isinstance(y, str) else y
    made = {"size": size, "order": 3.0, "label": "runs", "runs": run_ids(runs)}
    return Layer("points", runs[x].to_numpy(float), np.asarray(values, float), **{**made, **told})


def held_out(runs: pd.DataFrame | None, x: str, y: Any = "loss", **told: Any) -> list[Layer]:
    """Runs that the law has not seen, as hollow diamonds; nothing without any."""
    if runs is None or not len(runs):
        return []
    look = {"marker": "D", "size": 46.0, "order": 4.0, "colour": VERMILION, "label": HELD_OUT}
    return [points(runs, x, y, **{**look, **told})]


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
) -> Picture:
    """Loss against training FLOPs: learning curves, final losses and the efficient frontier."""
    need(runs, "num_params", "num_tokens", "flops", "loss")
    table = used(runs)
    layers: list[Layer] = []
    if curves is not None and len(curves):
        for run, curve in curve_points(runs, curves).groupby("run_id"):
            size = float(curve["num_params"].iloc[0])
            layers.append(
                Layer("line", curve["flops"], curve["loss"], shade=size, runs=[str(run)],
                      width=0.7, alpha=0.45)
            )  # fmt: skip
    layers.append(points(table, "flops", shade=table["num_params"].to_numpy(float)))
    everything = table if holdout is None else _join(table, holdout)
    if fit is None:
        envelope = lower_envelope(everything["flops"], everything["loss"])
        at = everything.iloc[envelope].sort_values("flops")
        layers.append(
            Layer("line", at["flops"], at["loss"], colour=INK, width=1.6,
                  label="lowest loss measured")
        )  # fmt: skip
    else:
        flops, losses = efficient(fit, table)
        layers.append(
            Layer("line", flops, losses, colour=VERMILION, width=1.8,
                  dash=(5, 2), label="compute-efficient frontier of the fit")
        )  # fmt: skip
    layers += held_out(holdout, "flops")
    highest = float(everything["loss"].max())
    panel = Panel(
        layers,
        log_x("Training compute (FLOPs)", "powers", low=float(everything["flops"].min()) / 3),
        loss_y(loss_label(runs), high=highest * 1.12),
    )
    return Picture([panel], Shading.of(runs["num_params"], "Parameters N"), legend="lower left")


def scaling(
    runs: pd.DataFrame, fit: Fit | None = None, holdout: pd.DataFrame | None = None
) -> Picture:
    """Loss against N, coloured by D, with the fitted law at several D and its 90 % intervals.

    For a law in one variable, loss against that variable; for another, measured against fitted.
    """
    if fit is not None and not fit.in_plane:
        one = len(fit.x_cols) == 1
        return _one_variable(runs, fit, holdout) if one else _measured(runs, fit, holdout)
    need(runs, "num_params", "num_tokens", "loss")
    table = used(runs)
    everything = table if holdout is None else _join(table, holdout)
    tokens = everything["num_tokens"]
    layers = [points(table, "num_params", shade=table["num_tokens"].to_numpy(float))]
    if holdout is not None and len(holdout):
        shade = holdout["num_tokens"].to_numpy(float)
        layers += held_out(holdout, "num_params", shade=shade)
    low = high = None
    if fit is not None:
        sizes = everything["num_params"]
        n = np.geomspace(float(sizes.min()) / 1.3, float(sizes.max()) * 1.3, 80)
        for i, d in enumerate(levels(tokens)):
            layers += _law_at(fit, table, n, d, first=i == 0)
        low, high = n[0], n[-1] * (n[-1] / n[0]) ** 0.13
    unit = f"{data_label(runs).capitalize()} D"
    panel = Panel(layers, log_x("Parameters N", low=low, high=high), loss_y(loss_label(runs)))
    return Picture([panel], Shading.of(tokens, unit), legend="upper right")


def _law_at(fit: Fit, table: pd.DataFrame, n: Any, d: float, *, first: bool) -> list[Layer]:
    """The law over N at one D, with the interval of a run if there are draws."""
    import pandas as pd

    grid = pd.DataFrame({"num_params": n, "num_tokens": np.full_like(n, d)})
    if "num_unique_tokens" in fit.x_cols:  # as runs of that D with the most data
        grid["num_unique_tokens"] = min(d, float(table["num_unique_tokens"].max()))
    layers = []
    if fit.draws is not None:
        below, above = fit.predict_ci(grid)
        label = OWN if first else ""
        layers.append(Layer("band", n, below, above, label=label, shade=d, alpha=0.15, order=1))
    label = "fitted law" if first else ""
    loss = np.asarray(fit.predict(grid))
    says = f"D = {count(d)}"
    return [*layers, Layer("line", n, loss, label=label, shade=d, width=1.3, says=says)]


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


def _one_variable(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None) -> Picture:
    table, name = used(runs), fit.x_cols[0]
    everything = table if holdout is None else _join(table, holdout)
    layers = [
        *_curve(everything[name], fit, BLUE, "fitted law"),
        points(table, name, fit.y_col, colour=INK),
        *held_out(holdout, name),
    ]
    return Picture([_against(runs, layers, name, fit.y_col)])


def _measured(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None) -> Picture:
    """What was measured against what a law of several variables says."""
    import pandas as pd

    ends = [f([fit.fitted, fit.observed]) for f in (np.min, np.max)]
    fitted = pd.DataFrame({"by law": fit.fitted})
    left = {line["row"] for line in fit.excluded}
    runs_of = [run for row, run in enumerate(run_ids(runs)) if row not in left]
    layers = [
        Layer("line", ends, ends, colour=MUTED, width=0.8, label="measured as fitted"),
        points(fitted, "by law", fit.observed, of=len(runs), colour=BLUE, runs=runs_of),
    ]
    if holdout is not None and len(holdout):
        seen = holdout.assign(**{"by law": fit.predict(holdout)})
        layers += held_out(seen, "by law", fit.y_col)
    label = loss_label(runs) if fit.y_col == "loss" else fit.y_col
    across = loss_y(f"{label}, by {', '.join(fit.x_cols)}")
    return Picture([Panel(layers, across, loss_y(label))])


def compared(groups: Mapping[str, tuple[pd.DataFrame, Fit]]) -> Picture:
    """Loss against one variable for several groups of runs, each with its own law.

    Bands are 90 % intervals of a prediction.
    """
    import pandas as pd

    whole = pd.concat([runs for runs, _ in groups.values()])
    layers: list[Layer] = []
    for colour, (label, (runs, fit)) in zip(cycle(SERIES), groups.items(), strict=False):
        table, name = used(runs), fit.x_cols[0]
        says = f"{label}: {fit.formula()}"
        layers += _curve(table[name], fit, colour, says, band="")
        layers.append(points(table, name, fit.y_col, of=len(whole), colour=colour, label=""))
    return Picture([_against(whole, layers, name, fit.y_col)], legend="above")


def _curve(values: Any, fit: Fit, colour: str, label: str, *, band: str = OWN) -> list[Layer]:
    """A law from the least of ``values`` to three times the largest, with its interval."""
    import pandas as pd

    low, high = float(values.min()), float(values.max())
    x = np.geomspace(low, 3 * high, 120) if low > 0 else np.linspace(low, high, 120)
    grid = pd.DataFrame({fit.x_cols[0]: x})
    layers = []
    if fit.draws is not None:
        below, above = fit.predict_ci(grid)
        layers.append(
            Layer("band", x, below, above, label=band, colour=colour, alpha=0.15, order=1)
        )
    return [*layers, Layer("line", x, np.asarray(fit.predict(grid)), colour=colour, label=label)]


def _against(runs: pd.DataFrame, layers: list[Layer], name: str, y_col: str) -> Panel:
    """The panel of a law in one variable."""
    known = {"num_params": "Parameters N", "num_tokens": f"{data_label(runs).capitalize()} D"}
    across = log_x(known.get(name, name), "powers" if name == "flops" else "counts")
    return Panel(layers, across, loss_y(loss_label(runs) if y_col == "loss" else y_col))


def residuals(runs: pd.DataFrame, fit: Fit, holdout: pd.DataFrame | None = None) -> Picture:
    """ln(measured / predicted) in percent against N, D and C, with the band of two sigma.

    Of a fit of linear residuals, measured - predicted.
    """
    table = used(runs)
    names = [
        (name, label, numbers)
        for name, label, numbers in (
            ("num_params", "Parameters N", "counts"),
            ("num_tokens", f"{data_label(runs).capitalize()} D", "counts"),
            ("flops", "Compute C (FLOPs)", "powers"),
        )
        if name in table.columns and table[name].notna().any()
    ]
    if not names:
        names = [(name, name, "counts") for name in fit.x_cols]
    left = _left(table, fit)
    unit = "%" if fit.space == "log" else ""
    sigma = float(np.nanstd(left))
    beyond = _left(holdout, fit) if holdout is not None and len(holdout) else ()
    said = f"band: two standard deviations, {2 * sigma:.2g} {unit}".rstrip()
    up = Axis(f"ln(measured / law) ({unit})" if unit else "measured - law")
    panels = [
        Panel(
            [
                Layer("hspan", y=[-2 * sigma], to=[2 * sigma], colour=BLUE, alpha=0.10, order=1),
                Layer("hrule", y=[0.0], colour=MUTED, width=0.8),
                points(table, name, left, colour=BLUE),
                *held_out(holdout, name, beyond),
            ],
            Axis(label, log=True, numbers=numbers, most=4),  # type: ignore[arg-type]
            up,
            said if i == 0 else "",
        )
        for i, (name, label, numbers) in enumerate(names)
    ]
    return Picture(panels, width=8.4, height=2.9, legend="", share_y=True)


def _left(table: pd.DataFrame, fit: Fit) -> Any:
    """What a law leaves of the measured values: in percent, or as they are in linear space."""
    measured, fitted = np.asarray(table[fit.y_col], dtype=float), np.asarray(fit.predict(table))
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * np.log(measured / fitted) if fit.space == "log" else measured - fitted


def _join(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = [name for name in one.columns if name in other.columns]
    return pd.concat([one[names], other[names]], ignore_index=True) if len(other) else one
