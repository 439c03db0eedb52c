"""Where a table of runs is cut to see how well a law extrapolates: fitted below, scored above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.laws import Array

OCTAVE = float(np.log(2.0))

LEAST = 6
"""Fewest runs below a cut-off: a law of three parameters and some residual."""


@dataclass(frozen=True)
class Cutoff:
    """One cut: rows ``seen`` are fitted, rows ``ahead`` predicted, ``(n,)`` booleans each.

    ``at`` is the largest log size seen.
    """

    at: float
    seen: NDArray[np.bool_]
    ahead: NDArray[np.bool_]


def log_size(inputs: dict[str, Array]) -> tuple[Array, int]:
    """Log of the size of each run ``(n,)``, and the number of inputs that are multiplied in it.

    For laws in N and D it is ln N D, the compute up to a constant; else the sum of the
    logarithms of all inputs; of a loss, which falls as runs grow, its negative.
    """
    if list(inputs) == ["loss"]:
        return -np.log(inputs["loss"]), 1
    both = [inputs[name] for name in ("num_params", "num_tokens") if name in inputs]
    factors = both if len(both) == 2 else list(inputs.values())
    return np.sum([np.log(x) for x in factors], axis=0), len(factors)


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
        see fewer than ``LEAST`` not at all.
    """
    end, found = float(size.max()), dict[int, Cutoff]()
    ends = size
    if labels is not None and len(np.unique(labels)) > 1:
        ends = np.full(int(labels.max()) + 1, -np.inf)
        np.maximum.at(ends, labels, size)
        ends = ends[labels]
    for k in range(1, depth + 1):
        seen = ends <= end - k * step * OCTAVE * n_inputs + 1e-9
        count = int(seen.sum())
        if count < LEAST or count == len(size) or count in found:
            continue
        at = float(size[seen].max())
        beyond = ~seen & (size > at)
        if window is not None:
            reach = max(at + window * OCTAVE * n_inputs, float(size[beyond].min()))
            beyond = beyond & (size <= reach + 1e-9)
        found[count] = Cutoff(at, seen, beyond)
    return list(found.values())
