"""What laws of learning-rate schedules need of a table of curves: sums over each schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws.base import Array

MOMENTUM = 0.999
"""Share of the momentum of falls that a step keeps: lambda of Tissue et al. 2024, eq. 2."""


def with_schedule_sums(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with what laws of schedules take, made from ``curve``, ``step`` and ``lr``.

    Curves get numbers; ``lr_sum`` is the sum of learning rates from step 0 (S1) and
    ``lr_anneal_sum`` the sum over steps of the momentum sum of the rate's falls (S2), unless the
    table has them. Between two rows of a curve the rate goes in a straight line, and before the
    first it rises from 0 in one. A table without ``curve`` is of one curve.

    Raises
    ------
    ValueError
        If a curve has two rows of one step, or a step or rate below 0.

    Source: Tissue et al. 2024 (arXiv 2408.11029), eq. 1 and 2.
    """
    import pandas as pd

    if not {"step", "lr"} <= {*map(str, table.columns)}:
        return table
    table = table.copy()
    names = table["curve"] if "curve" in table else pd.Series("", index=table.index)
    table["curve"] = pd.factorize(names)[0].astype(float)
    wanted = [name for name in ("lr_sum", "lr_anneal_sum") if name not in table]
    sums = {name: np.empty(len(table)) for name in wanted}
    step, rate = (table[c].to_numpy(dtype=float) for c in ("step", "lr"))
    for name in dict.fromkeys(names):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(step[rows], kind="stable")]
        steps, rates = step[rows], rate[rows]
        twice = np.flatnonzero(np.diff(steps) == 0)
        if len(twice):
            raise ValueError(
                f"curve {name!r} has step {steps[twice[0]]:g} twice: give each curve a name of its "
                "own, or fit one group at a time (--where)"
            )
        if not (steps[0] >= 0 and (rates >= 0).all()):
            raise ValueError(
                f"curve {name!r} has step {steps[0]:g} and learning rate {rates.min():g}; neither "
                "is below 0: leave such rows out (--where 'lr > 0')"
            )
        for column, sum_of in (("lr_sum", rate_sums), ("lr_anneal_sum", anneal_sums)):
            if column in sums:
                sums[column][rows] = sum_of(steps, rates)
    return table.assign(**sums)


def rate_sums(step: Array, rate: Array) -> Array:
    """S1 at each of the steps ``(n,)``, in order."""
    grown = 0.5 * (rate[1:] + rate[:-1]) * np.diff(step)
    return np.asarray(0.5 * rate[0] * step[0] + np.concatenate([[0.0], grown.cumsum()]))


def anneal_sums(step: Array, rate: Array, momentum: float = MOMENTUM) -> Array:
    """S2 at each of the steps ``(n,)``, in order: rises before the first row count for nothing."""
    from scipy.signal import lfilter  # slow to load

    every = np.arange(round(step[0]), round(step[-1]) + 1)
    falls = -np.diff(np.interp(every, step, rate), prepend=rate[0])
    held = lfilter([1.0], [1.0, -momentum], falls)
    return np.asarray(held.cumsum()[np.round(step - step[0]).astype(int)])
