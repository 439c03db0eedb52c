"""Learning curves: loss against what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.plotting.picture import Layer, Panel, Picture, Shading, log_x, loss_y
from analysis.plotting.runs import data_label, loss_label, need
from analysis.plotting.style import BLUE

if TYPE_CHECKING:
    import pandas as pd


def curves(runs: pd.DataFrame, points: pd.DataFrame) -> Picture:
    """Loss against tokens (examples) seen, a line a run, coloured by N where that is known.

    Parameters
    ----------
    runs : DataFrame
        The run table: ``run_id``, and ``num_params`` if the runs have one.
    points : DataFrame
        One row per point: ``run_id``, ``step`` (tokens or examples seen), ``loss``. The last point
        of a run that ended has a dot.

    Raises
    ------
    ValueError
        If no point has a finite loss.
    """
    need(runs, "run_id")
    seen, loss = points["step"].astype(float), points["loss"].astype(float)
    points = points[np.isfinite(loss) & (seen > 0)]
    if not len(points):
        raise ValueError("no point of a learning curve has a finite loss")
    table = runs.drop_duplicates("run_id").set_index("run_id")
    sized = "num_params" in table.columns and bool(table["num_params"].notna().any())
    ended = set(table.index[table["exclude_reason"] == ""])
    layers, last = [], []
    for run, curve in points.sort_values("step").groupby("run_id", sort=False):
        size = float(table["num_params"].get(run, np.nan)) if sized else np.nan
        shade = size if np.isfinite(size) else None
        layers.append(
            Layer("line", curve["step"], curve["loss"], shade=shade, colour=BLUE, runs=[str(run)],
                  width=0.9, alpha=0.7)
        )  # fmt: skip
        if run in ended:
            last.append((str(run), curve["step"].iloc[-1], curve["loss"].iloc[-1], size))
    if last:
        runs_ended, x, y, sizes = zip(*last, strict=True)
        known = np.array(sizes) if np.isfinite(sizes).all() else None
        layers.append(
            Layer("points", x, y, shade=known, colour=BLUE, runs=runs_ended, size=14.0, order=3)
        )
    across = log_x(data_label(runs).capitalize() + " seen")
    panel = Panel(layers, across, loss_y(loss_label(runs) if "loss" in runs.columns else "Loss"))
    return Picture([panel], Shading.of(table["num_params"], "Parameters N") if sized else None)
