"""The runs of each compute budget, by size: what iso-FLOP minima are read off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
_SAME = 0.01  # of ln N, within which two runs are repeats of one size
SPAN = 1.5
"""FLOPs of one budget agree within this factor."""
PROFILE = 3
"""Sizes of a profile: a curve through two has no minimum."""


@dataclass(frozen=True)
class Budget:
    """Runs at one budget by size: ln N, mean ln loss, runs per size, their spread; D = h N^g.

    ``span`` is the largest over the smallest FLOPs.
    """

    flops: float
    span: float
    log_n: Array
    log_loss: Array
    repeats: Array
    spread: tuple[float, int]
    tokens: tuple[float, float]


def budgets_of(runs: pd.DataFrame) -> list[Budget]:
    """The budgets of a run table, by ``flops``.

    Raises
    ------
    ValueError
        If a column is missing, or no run has all that is needed.
    """
    for name in ("num_params", "flops", "loss"):
        if name not in runs.columns:
            raise ValueError(f"iso-FLOP needs the column {name}")
    table = runs[runs["exclude_reason"] == ""] if "exclude_reason" in runs.columns else runs
    n, c, y = (table[k].to_numpy(dtype=float) for k in ("num_params", "flops", "loss"))
    d = table["num_tokens"].to_numpy(dtype=float) if "num_tokens" in table else c / (6 * n)
    usable = np.logical_and.reduce([(v > 0) & (v < np.inf) for v in (n, c, y, d)])
    n, c, y, d = n[usable], c[usable], y[usable], d[usable]
    if not len(n):
        raise ValueError(
            "iso-FLOP needs runs with num_params, num_tokens, flops and loss; there are none"
        )
    found = []
    for members in group_budgets(c):
        log_n, log_loss, log_d = (np.log(v[members]) for v in (n, y, d))
        index = _same_size(log_n)
        x = _means(log_n, index)
        # Only exact repeats tell the noise: of 1 % apart, one may be a slip of the other.
        exact = np.unique(log_n, return_inverse=True)[1]
        left = log_loss - _means(log_loss, exact)[exact]
        slope, level = (-1.0, float(np.mean(log_d + log_n)))
        if len(x) > 1:
            slope, level = np.polyfit(log_n, log_d, 1)
        found.append(
            Budget(
                flops=float(np.exp(np.mean(np.log(c[members])))),
                span=float(c[members].max() / c[members].min()),
                log_n=x,
                log_loss=_means(log_loss, index),
                repeats=np.bincount(index).astype(float),
                spread=(float(left @ left), len(left) - 1 - int(exact.max())),
                tokens=(float(slope), float(level)),
            )
        )
    return found


def group_budgets(flops: Array, gap: float = 1.15) -> list[NDArray[np.intp]]:
    """Indices of the rows of each budget: neighbours in ``flops`` within a factor ``gap``."""
    order = np.argsort(flops, kind="stable")
    steps = np.diff(np.log(flops[order])) > np.log(gap)
    return np.split(order, np.flatnonzero(steps) + 1)


def is_profile(num_params: Array, flops: Array) -> bool:
    """Whether runs are the profile of one budget: three sizes or more at about the same FLOPs."""
    sizes = int(_same_size(np.log(num_params)).max()) + 1
    return sizes >= PROFILE and bool(flops.max() <= SPAN * flops.min())


def _same_size(log_n: Array) -> NDArray[np.intp]:
    """The size that each run has, counted from the smallest; within 1 % it is the same."""
    index = np.zeros(len(log_n), dtype=np.intp)
    first, size = -np.inf, -1
    for i in np.argsort(log_n, kind="stable"):
        if log_n[i] > first + _SAME:
            first, size = log_n[i], size + 1
        index[i] = size
    return index


def _means(values: Array, index: NDArray[np.intp]) -> Array:
    """The mean of ``values`` at each ``index``."""
    return np.bincount(index, values) / np.bincount(index)
