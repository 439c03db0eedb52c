"""A model's design parameters as columns, and how far its widths are from a quantised line.

Source: Radosavovic et al. 2020 (arXiv 2003.13678), sec. 3.3, eqs. 2 to 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# One number for a whole network, as the authors plot them: all blocks, the widest stage, ...
SUMMARIES: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "depth": ("depths", sum),
    "width": ("widths", max),
    "bottleneck_ratio": ("bottleneck_ratios", max),
    "group_width": ("group_widths", max),
}
PARAMETERS = (*SUMMARIES, "w0", "wa", "wm", "e_fit")
QUANTUM = 8


def with_design(runs: pd.DataFrame, models: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """``runs`` with a column for each design parameter of ``models``, by ``run_id``.

    ``depth`` is the number of blocks, ``width``, ``bottleneck_ratio`` and ``group_width`` are the
    largest of the stages'; ``w0``, ``wa``, ``wm`` are those of the nearest quantised line and
    ``e_fit`` its distance. A column that the table has already is left as it is.
    """
    rows: list[dict[str, float]] = []
    fits: dict[tuple[Any, ...], dict[str, float]] = {}
    for run_id in runs["run_id"] if "run_id" in runs.columns else [""] * len(runs):
        model = models.get(str(run_id), {})
        row = {
            name: float(summary(model[of])) for name, (of, summary) in SUMMARIES.items()
            if isinstance(model.get(of), list | tuple)
        }  # fmt: skip
        if {"depth", "width"} <= set(row):
            shape = (*model["depths"], *model["widths"])
            if shape not in fits:
                fits[shape] = fit_line(block_widths(model["depths"], model["widths"]))
            row |= fits[shape]
        rows.append(row)
    found = runs.copy()
    for name in PARAMETERS:
        if name not in found.columns and any(name in row for row in rows):
            found[name] = [row.get(name, math.nan) for row in rows]
    found.attrs = dict(runs.attrs)
    return found


def block_widths(depths: Sequence[int], widths: Sequence[int]) -> NDArray[np.float64]:
    """The width of each block: every stage's, as often as it is deep."""
    return np.repeat(np.asarray(widths, dtype=float), np.asarray(depths, dtype=int))


def quantised_line(
    depth: int, w0: Any, wa: Any, wm: Any, quantum: int = QUANTUM
) -> NDArray[np.float64]:
    """w_j = w0 wm^round(log(1 + wa j / w0) / log wm), to multiples of ``quantum``.

    ``w0``, ``wa`` and ``wm`` may be arrays of one shape; blocks are the last axis of the result.
    """
    w0, wa, wm = (np.asarray(v, dtype=float)[..., None] for v in (w0, wa, wm))
    line = 1 + wa * np.arange(depth) / w0
    widths = w0 * wm ** np.round(np.log(line) / np.log(wm))
    return np.asarray(np.maximum(1, np.round(widths / quantum)) * quantum)


def fit_line(widths: NDArray[Any], quantum: int = QUANTUM) -> dict[str, float]:
    """``w0``, ``wa``, ``wm`` of the nearest quantised line, and ``e_fit``.

    e_fit is the mean over blocks of |ln(line / width)|: 0 for widths by the RegNet rule, of order
    1 for widths drawn at random. The grid has the multiples of ``quantum`` about the
    first width for w0, [1.5, 3] for wm, and for wa the slopes that put the last block on each
    step of the staircase and those halfway between; then finer about the best.

    Parameters
    ----------
    widths : array (depth,)

    Examples
    --------
    >>> fit_line(np.repeat([24.0, 56.0, 152.0, 368.0], [1, 1, 4, 7]))["e_fit"]
    0.0
    """
    widths = np.asarray(widths, dtype=float)
    depth, first = len(widths), widths[0]
    starts = {quantum * max(1, round(first * f / quantum)) for f in np.geomspace(0.5, 2.0, 13)}
    if first % quantum == 0:
        starts.add(first)
    w0 = np.array(sorted(starts), dtype=float)
    wm = np.linspace(1.5, 3.0, 61)
    slope = max(float(widths.max() - first) / max(1, depth - 1), quantum / depth)
    wa = np.concatenate([[0.0], slope * np.geomspace(0.25, 4.0, 61)])
    best = _search(widths, w0, wa, wm, quantum)
    for step in (0.025, 0.004, 0.001):
        near_wm = np.clip(best["wm"] + step * np.linspace(-1, 1, 21), 1.05, None)
        near_wa = best["wa"] * np.exp(4 * step * np.linspace(-1, 1, 41))
        near_w0 = np.unique(np.maximum(quantum, best["w0"] + quantum * np.arange(-2, 3)))
        found = _search(widths, near_w0, near_wa, near_wm, quantum)
        best = min(best, found, key=lambda one: one["e_fit"])
        if best["e_fit"] == 0:
            break
    return best


def _search(
    widths: NDArray[Any], w0: NDArray[Any], wa: NDArray[Any], wm: NDArray[Any], quantum: int
) -> dict[str, float]:
    """The best of all combinations."""
    grid = [axis.ravel() for axis in np.meshgrid(w0, wa, wm, indexing="ij")]
    lines = quantised_line(len(widths), grid[0], grid[1], grid[2], quantum)
    errors = np.abs(np.log(lines / widths)).mean(axis=-1)
    i = int(errors.argmin())
    return {
        "w0": float(grid[0][i]),
        "wa": float(grid[1][i]),
        "wm": float(grid[2][i]),
        "e_fit": float(errors[i]),
    }
