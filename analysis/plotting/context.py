"""Loss by place in the context: what a model makes of what it has already seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading, loss_y
from analysis.plotting.runs import loss_label, need, used
from analysis.plotting.style import BLUE

if TYPE_CHECKING:
    import pandas as pd

PLACE = re.compile(r"loss_at_(\d+)")
DASHES: tuple[tuple[float, ...], ...] = ((), (4.0, 1.6), (1.2, 1.2))


def context(runs: pd.DataFrame) -> Picture:
    """Loss against place in the context, a line for each size and family, the mean over seeds.

    Of runs of one size and family that differ in more (a rate that was searched, data size) the
    best is drawn.

    Parameters
    ----------
    runs : DataFrame
        The run table, of runs with ``by_position``: ``loss_at_1``, ``loss_at_2``, ...,
        ``num_params``, ``loss``, and ``family`` where there are several.

    Raises
    ------
    ValueError
        If no run has losses by place.

    Notes
    -----
    Kaplan et al. 2020 (arXiv 2001.08361), fig. 7.
    """
    places = {name: int(found[1]) for name in map(str, runs) if (found := PLACE.fullmatch(name))}
    if not places:
        raise ValueError(
            "no run has losses by place in the context: set by_position: true in the sweep file"
        )
    need(runs, "num_params", "loss")
    table = used(runs).dropna(subset=[*places, "num_params", "loss"])
    families = list(dict.fromkeys(table["family"])) if "family" in table else [""]
    x = np.array(list(places.values()), float)
    layers = []
    for family, dash in zip(families, DASHES * len(families), strict=False):
        of_family = table[table["family"] == family] if family else table
        for _, rows in of_family.groupby("num_params"):
            best = rows.sort_values("loss").iloc[0]
            same = [c for c in ("lr", "num_tokens") if c in rows]
            alike = rows[(rows[same] == best[same]).all(axis=1)]
            layers.append(
                Layer(
                    "line",
                    x,
                    alike[list(places)].mean().to_numpy(float),
                    shade=float(best["num_params"]),
                    colour=BLUE,
                    dash=dash,
                    label=str(family) if len(families) > 1 else "",
                    runs=[str(best.get("run_id", ""))],
                )
            )
    if not layers:
        raise ValueError("no run with losses by place in the context ended")
    across = Axis("Place in the context, from (tokens)", log=True, numbers="counts")
    return Picture(
        [Panel(layers, across, loss_y(loss_label(table)))],
        Shading.of(table["num_params"], "Parameters N"),
    )
