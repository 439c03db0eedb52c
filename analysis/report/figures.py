"""``figures``: the pictures of a report, as many as the runs and the law allow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle

import numpy as np
import pandas as pd

from analysis import plotting
from analysis.compute import cost_of
from analysis.compute import plan as make_plan
from analysis.designs import compare_searches
from analysis.plotting import Layer, Panel, Picture, log_x, loss_y, used
from analysis.report import sections
from analysis.report.findings import Findings
from analysis.wording import cut
from scaling.base import NoAnswerError

TRIMMED = 40
"""Points of a learning curve on a page at most, evenly on a log scale."""


def figures(found: Findings) -> dict[str, Picture]:
    """The figures of a report by name, as many as the runs and the headline law allow."""
    runs, fit, holdout = found.runs, found.headline, found.holdout
    held = pd.DataFrame(list(holdout)).rename(columns={"actual": "loss"}) if holdout else None
    curves = None if found.curves is None else trimmed(found.curves)
    drawn: dict[str, Picture] = {}
    plane = {"num_params", "num_tokens", "flops", "loss"} <= set(runs.columns)
    plane = plane and bool(used(runs)[["num_params", "num_tokens", "flops"]].notna().all().all())
    plane = plane and len(used(runs)) > 0
    if holdout:
        drawn["predictions"] = predictions(found)
    law = fit if fit is not None and fit.in_plane else None
    if plane:
        try:
            drawn["frontier"] = plotting.frontier(runs, curves, law, held)
        except NoAnswerError:  # the law has no best size: runs of one D, as a search has them
            drawn["frontier"] = plotting.frontier(runs, curves, None, held)
    elif curves is not None and len(curves):
        with suppress(ValueError):  # no point of them is finite
            drawn["curves"] = plotting.curves(runs, curves)
    if not plane and "flops" in runs.columns and used(runs)["flops"].notna().any():
        drawn["compute"] = side_by_side([found])
    if "strategy" in runs.columns:
        with suppress(ValueError):  # a search that has only begun
            drawn["search"] = plotting.search(compare_searches(runs))
    if fit is not None:
        drawn["scaling"] = plotting.scaling(runs, fit, held)
        drawn["residuals"] = plotting.residuals(runs, fit, held)
    if found.isoflop is not None:
        drawn["isoflop"] = plotting.isoflop(runs, found.isoflop)
    if found.beyond is not None and law is not None and plane:
        largest = float(used(runs)["flops"].max())
        budgets = np.geomspace(float(used(runs)["flops"].min()), 1000 * largest, 16)
        with suppress(NoAnswerError):  # the page says so where the plan would be
            allocations = make_plan(found.beyond, list(budgets), cost=cost_of(runs))
            drawn["plan"] = plotting.plan(allocations, runs)
    return drawn


def predictions(found: Findings) -> Picture:
    """Held-out runs, predicted and measured."""
    rows = found.holdout
    return plotting.predictions(
        [sections.run_label(row) for row in rows],
        [row["predicted"] for row in rows],
        [tuple(row["ci"]) for row in rows],
        [row["actual"] for row in rows],
        [str(row.get("run_id") or row.get("name") or "") for row in rows],
    )


def side_by_side(all_found: Sequence[Findings]) -> Picture:
    """Loss against compute of several sweeps, each with the line of its lowest losses."""
    layers: list[Layer] = []
    for colour, found in zip(cycle(plotting.SERIES), all_found, strict=False):
        table = used(found.runs)
        if not {"flops", "loss"} <= set(table.columns):
            continue
        table = table[table["flops"].notna() & table["loss"].notna()].sort_values("flops")
        layers.append(
            Layer("points", table["flops"], table["loss"], colour=colour, order=3,
                  label=cut(found.name) or "runs", runs=plotting.run_ids(table))
        )  # fmt: skip
        best = table[table["loss"] <= table["loss"].cummin()]
        layers.append(Layer("line", best["flops"], best["loss"], colour=colour, width=1.2))
    label = plotting.loss_label(all_found[0].runs)
    return Picture([Panel(layers, log_x("Training compute (FLOPs)", "powers"), loss_y(label))])


def trimmed(curves: pd.DataFrame) -> pd.DataFrame:
    """At most ``TRIMMED`` points of each curve: its first, its last, and evenly between."""
    if not len(curves):
        return curves
    ordered = curves.sort_values(["run_id", "step"], kind="stable")
    kept = []
    for _, curve in ordered.groupby("run_id", sort=False):
        count = len(curve)
        if count > TRIMMED:
            places = np.geomspace(1, count, TRIMMED).round().astype(int) - 1
            curve = curve.iloc[np.unique(places)]
        kept.append(curve)
    return pd.concat(kept, ignore_index=True)
