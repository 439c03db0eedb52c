"""Learning curves: loss against what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from analysis.plotting.runs import data_label, loss_label, need
from analysis.plotting.style import BLUE, Shades, log_axis, loss_axis, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd


def curves(runs: pd.DataFrame, points: pd.DataFrame) -> Figure:
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
    need(runs, "run_id", "loss")
    seen, loss = points["step"].astype(float), points["loss"].astype(float)
    points = points[np.isfinite(loss) & (seen > 0)]
    if not len(points):
        raise ValueError("no point of a learning curve has a finite loss")
    table = runs.drop_duplicates("run_id").set_index("run_id")
    sized = "num_params" in table.columns and bool(table["num_params"].notna().any())
    shades = Shades(table["num_params"] if sized else [])
    ended = set(table.index[table["exclude_reason"] == ""])
    with styled():
        figure, axes = new_figure()
        for run, curve in points.sort_values("step").groupby("run_id", sort=False):
            size = float(table["num_params"].get(run, np.nan)) if sized else np.nan
            colour = shades(size) if np.isfinite(size) else BLUE
            axes.plot(curve["step"], curve["loss"], color=colour, lw=0.9, alpha=0.7)
            if run in ended:
                last = curve.iloc[-1]
                axes.scatter(last["step"], last["loss"], s=14, color=colour, lw=0, zorder=3)
        axes.set_xlabel(data_label(runs).capitalize() + " seen")
        log_axis(axes.xaxis, counts=True)
        loss_axis(axes, loss_label(runs))
        if sized:
            shades.bar(figure, axes, "Parameters N")
    return figure
