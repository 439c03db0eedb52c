"""Where a table of runs is cut to see how well a law extrapolates: fitted below, scored above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.laws import Array

OCTAVE = float(np.log(2.0))

LEAST = 6
"""Fewest runs below a cut-off: a law of three parameters and some residual."""

FEWEST_SIZES = 4
"""Fewest sizes among them: repeats say what noise is, not how a law goes on."""

FOLDS = 4
"""Parts in which runs that no size tells apart predict each other."""


@dataclass(frozen=True)
class Cutoff:
    """One cut: rows ``seen`` are fitted, rows ``ahead`` predicted, ``(n,)`` booleans each.

    ``at`` is the largest log size seen.
    """

    at: float
    seen: NDArray[np.bool_]
    ahead: NDArray[np.bool_]


def sized(inputs: dict[str, Array]) -> tuple[str, ...]:
    """The inputs that make a run large: N and D, else all that are positive everywhere."""
    both = tuple(name for name in ("num_params", "num_tokens") if name in inputs)
    if len(both) == 2:
        return both
    return tuple(name for name, x in inputs.items() if (x > 0).all())


def log_size(inputs: dict[str, Array], by: tuple[str, ...]) -> Array:
    """Log of the size of each run ``(n,)``: the sum of the logarithms of the inputs ``by``.

    For laws in N and D it is ln N D, the compute up to a constant; of a loss, which falls as runs
    grow, its negative. Without any input to go by all runs are of one size.
    """
    if by == ("loss",):
        return -np.log(inputs["loss"])
    start = np.zeros(len(next(iter(inputs.values()))))
    return np.asarray(sum((np.log(inputs[name]) for name in by), start=start))


def folds(size: Array, labels: NDArray[np.intp], seed: int) -> list[Cutoff]:
    """Cuts of runs that no size tells apart: each predicts a part of them from all others.

    ``labels (n,)`` is the run of each row; there are ``FOLDS`` parts, or as many as runs.
    """
    _, run = np.unique(labels, return_inverse=True)
    runs = int(run.max()) + 1
    part = (np.random.default_rng(seed).permutation(runs) % min(FOLDS, runs))[run]
    cuts = [part != k for k in range(min(FOLDS, runs))]
    return [Cutoff(float(size[seen].max()), seen, ~seen) for seen in cuts if seen.sum() >= LEAST]


def cutoffs(
    size: Array,
    n_inputs: int,
    *,
    step: float,
    depth: int,
    window: float | None,
    labels: NDArray[np.intp] | None = None,
) -> list[Cutoff]:
    """Cuts ``step``, 2 ``step``, ... ``depth`` ``step`` octaves of each input below the largest.

    Parameters
    ----------
    size : array ``(n,)``
        Log size of the runs.
    n_inputs : int
        Inputs in a size: two octaves of compute are one octave of N and one of D.
    step : float
        Octaves of each input between cuts.
    depth : int
        Number of cuts.
    window : float or None
        Octaves of each input that are predicted beyond a cut; to the end if None. At least the
        next size that was measured.
    labels : int array ``(n,)``, optional
        The run of each row. A run is then seen whole, if it ends below the cut, or not at all; of
        a single run the beginning is seen.

    Returns
    -------
    list of Cutoff
        From the largest cut to the smallest; those that see the same runs once, and those that
        see fewer than ``LEAST`` rows or ``FEWEST_SIZES`` sizes not at all.
    """
    end, found = float(size.max()), dict[int, Cutoff]()
    ends = _ends(size, labels)
    for k in range(1, depth + 1):
        seen = ends <= end - k * step * OCTAVE * n_inputs + 1e-9
        count = int(seen.sum())
        few = count < LEAST or len(np.unique(size[seen])) < FEWEST_SIZES
        if few or count == len(size) or count in found:
            continue
        at = float(size[seen].max())
        beyond = ~seen & (size > at)
        if window is not None:
            reach = max(at + window * OCTAVE * n_inputs, float(size[beyond].min()))
            beyond = beyond & (size <= reach + 1e-9)
        found[count] = Cutoff(at, seen, beyond)
    return list(found.values())


def cutoffs_along(
    x: Array, size: Array, *, depth: int, labels: NDArray[np.intp] | None = None
) -> list[Cutoff]:
    """Cuts below the top octave of one input, and the top two, ... ``depth``: all above is ahead.

    Parameters
    ----------
    x, size : array ``(n,)``
        Log of the input, and log size of the runs.
    depth : int
        Number of cuts at most.
    labels : int array ``(n,)``, optional
        The run of each row, as for ``cutoffs``.

    Notes
    -----
    A cut lies half an octave below a power of two under the largest value, so that values a factor
    of two apart fall on both sides however they are rounded. At least ``LEAST`` rows are seen, of
    values that differ.
    """
    ends, found = _ends(x, labels), dict[int, Cutoff]()
    for k in range(depth):
        seen = ends <= x.max() - (k + 0.5) * OCTAVE
        count = int(seen.sum())
        if count < LEAST or count in found or np.ptp(x[seen]) < 0.5 * OCTAVE:
            continue
        ahead = ~seen & (x > x[seen].max())
        found[count] = Cutoff(float(size[seen].max()), seen, ahead)
    return list(found.values())


def _ends(size: Array, labels: NDArray[np.intp] | None) -> Array:
    """The largest size of each row's run ``(n,)``; its own where all rows are of one run."""
    if labels is None or len(np.unique(labels)) < 2:
        return size
    ends = np.full(int(labels.max()) + 1, -np.inf)
    np.maximum.at(ends, labels, size)
    return ends[labels]
