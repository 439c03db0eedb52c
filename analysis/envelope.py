"""Approach 1: the compute-efficient frontier as the lower envelope of learning curves.

Source: Hoffmann et al. 2022, section 3.1 (for each FLOP count, the run of lowest loss).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


def curve_points(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The points of learning curves with their run's size: one row per point.

    Adds ``num_params``, ``num_tokens`` (= ``step``) and ``flops`` (the run's FLOPs per token
    times ``step``) to ``curves``; points without a finite loss are left out.
    """
    sizes = runs.drop_duplicates("run_id").set_index("run_id")
    points = curves[np.isfinite(curves["loss"].astype(float)) & (curves["step"] > 0)].copy()
    points = points[points["run_id"].isin(sizes.index)]
    points["num_params"] = points["run_id"].map(sizes["num_params"])
    points["num_tokens"] = points["step"].astype(float)
    points["flops"] = points["num_tokens"] * points["run_id"].map(
        sizes["flops"] / sizes["num_tokens"]
    )
    return points


def lower_envelope(flops: ArrayLike, loss: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points that no other point beats in both ``flops`` and ``loss``.

    In order of ``flops``, their loss strictly falls. Arrays of shape ``(n_points,)``.

    >>> lower_envelope([1.0, 2.0, 2.0, 4.0], [3.0, 2.5, 2.0, 2.2]).tolist()
    [0, 2]
    """
    c, y = np.asarray(flops, dtype=float), np.asarray(loss, dtype=float)
    order: NDArray[np.intp] = np.lexsort((y, c))
    order = order[np.isfinite(c[order]) & np.isfinite(y[order])]
    before = np.concatenate([[np.inf], np.minimum.accumulate(y[order])[:-1]])
    return np.asarray(order[y[order] < before])
