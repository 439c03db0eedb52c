"""Figure of irreducible error, avoidable bias and variance, stacked over size and over data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.plotting.picture import Axis, Layer, Panel, Picture
from analysis.plotting.style import BLUE, INK, MUTED, VERMILION
from analysis.wording import count

if TYPE_CHECKING:
    import pandas as pd

LABELS = {"num_params": "parameters N", "num_tokens": "training data D"}


def parts(cells: pd.DataFrame, metric: str) -> Picture:
    """A panel over N at one D, and one over D at one N: those with the most others.

    ``cells`` are of ``analysis.diagnosis.means``. Straight lines join neighbours, nothing is
    smoothed: a second descent, and variance that peaks where the model just fits the data, stay.

    Raises
    ------
    ValueError
        If there are no two sizes, and no two amounts of data.
    """
    scale = 100.0 if metric == "error" else 1.0
    panels = [
        panel
        for name, other in (("num_params", "num_tokens"), ("num_tokens", "num_params"))
        if (panel := _panel(cells, metric, name, other, scale)) is not None
    ]
    if not panels:
        raise ValueError(
            "parts are drawn over N at one D, or over D at one N: no two runs differ in one of "
            "them alone"
        )
    return Picture(
        panels, width=3.4 * len(panels), height=2.9, legend="above", share_y=True,
        columns=len(panels),
    )  # fmt: skip


def _panel(cells: pd.DataFrame, metric: str, name: str, other: str, scale: float) -> Panel | None:
    if name not in cells.columns:
        return None
    title, rows = "", cells
    if other in cells.columns:
        others = cells.groupby(other)[name].nunique()
        at = others[others == others.max()].index.max()
        rows, title = cells[cells[other] == at], f"{LABELS[other]} = {count(float(at))}"
    rows = rows.sort_values(name)
    if rows[name].nunique() < 2:
        return None
    x = rows[name].to_numpy(float)
    floor, train, heldout = (
        scale * rows[column].to_numpy(float) for column in ("irreducible", "train", metric)
    )
    layers = [
        Layer("band", x, np.zeros_like(x), np.minimum(floor, train), label="irreducible",
              colour=MUTED, alpha=0.25),
        Layer("band", x, np.minimum(floor, train), train, label="avoidable bias", colour=BLUE,
              alpha=0.35),
        Layer("band", x, train, np.maximum(train, heldout), label="variance", colour=VERMILION,
              alpha=0.35),
        Layer("line", x, train, colour=BLUE), Layer("line", x, heldout, colour=INK),
        Layer("points", x, train, colour=BLUE, label="on training data", order=3),
        Layer("points", x, heldout, colour=INK, label="held out", order=3),
    ]  # fmt: skip
    label = "error (%)" if metric == "error" else metric
    return Panel(
        layers, Axis(LABELS[name], log=True, numbers="counts", most=5), Axis(label, low=0.0), title
    )
