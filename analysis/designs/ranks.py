"""Rank correlation by scale: are the designs that are best when small also best when large?

What AnyNet (Radosavovic et al. 2020) and EfficientNet (Tan & Le 2019) assume, who choose designs
by short runs of small models, and what successive halving assumes of its rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.intervals import interval
from analysis.laws import Array
from analysis.tables import metric_of, usable
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

ROUNDED = 0.05  # by which runs of one scale may differ
LEAST = 5  # designs: of fewer a rank correlation says nothing


@dataclass(frozen=True)
class RankCorrelation:
    """One scale against the largest, over the designs that both have.

    Attributes
    ----------
    scale, largest : float
    n_designs : int
    spearman, kendall : float
        Spearman's rho and Kendall's tau-b.
    spearman_ci, kendall_ci : tuple of float
        Percentile bootstrap over designs.
    rank_of_best : int
        Which rank, 1 the best, the design that is best at this scale has at the largest.
    regret : float
        What choosing it costs there: its loss less the best one's.
    """

    scale: float
    largest: float
    n_designs: int
    spearman: float
    spearman_ci: tuple[float, float]
    kendall: float
    kendall_ci: tuple[float, float]
    rank_of_best: int
    regret: float


@dataclass(frozen=True)
class Ranks:
    """All smaller scales against the largest.

    ``is_selected`` says that only the best of a scale were done at the next, as by halving: ranks
    among these alone correlate less than among all.
    """

    metric: str
    scale: str
    level: float
    correlations: tuple[RankCorrelation, ...]
    is_selected: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def rank_correlations(
    runs: pd.DataFrame,
    by: Sequence[str] = (),
    scale: str | None = None,
    *,
    metric: str | None = None,
    draws: int = 2000,
    level: float = 0.9,
    seed: int = 0,
) -> Ranks:
    """Rank correlations of the same designs at each scale with the largest.

    Parameters
    ----------
    runs : DataFrame
    by : sequence of str
        The columns that make a design, such as ``depth`` and ``lr``; where a run has a ``parent``
        that it goes on from, left out: they are one design.
    scale : str, optional
        The column of the scale: ``rung`` where there is one, else ``num_tokens``. Values that
        differ by 5 % at most are one scale.
    metric : str, optional
        ``error`` or ``loss``. Runs of one design and scale, as of several seeds, are averaged.
    draws, level, seed
        Of the bootstrap over designs.

    Raises
    ------
    ValueError
        If there is no such column, one scale only, or fewer than 5 designs at two of them.
    """
    from scipy import stats

    has_rungs = "rung" in runs.columns and "parent" in runs.columns and runs["rung"].notna().any()
    scale = scale or ("rung" if has_rungs and not by else "num_tokens")
    for name in (scale, *by):
        if name not in runs.columns:
            refuse_unknown(name, map(str, runs.columns), "column")
    if not by and not has_rungs:
        raise ValueError(
            "which runs are the same design at another scale? Name the columns that make one, as "
            "--by depth,width"
        )
    metric = metric_of(runs, metric)
    table = usable(runs, metric)
    table = table[table[scale].notna()].copy()
    table[scale] = _alike(table[scale].to_numpy(float))
    table["design"] = (
        table[list(by)].astype(str).agg("|".join, axis=1) if by else _origins(runs, table)
    )
    wide = table.pivot_table(index="design", columns=scale, values=metric, aggfunc="mean")
    scales = sorted(float(value) for value in wide.columns)
    if len(scales) < 2:
        raise ValueError(f"all runs have the same {scale}: give runs at two scales")
    largest = scales[-1]
    rng, found = np.random.default_rng(seed), []
    for small in scales[:-1]:
        both = wide[[small, largest]].dropna().to_numpy(float)
        if len(both) < LEAST:
            continue
        picks = rng.integers(len(both), size=(draws, len(both)))
        low, high = interval(_resampled(both, picks), level)
        rho = float(stats.spearmanr(*both.T).statistic)
        tau = float(stats.kendalltau(*both.T).statistic)
        best = int(both[:, 0].argmin())
        found.append(
            RankCorrelation(
                small,
                largest,
                len(both),
                rho,
                (float(low[0]), float(high[0])),
                tau,
                (float(low[1]), float(high[1])),
                int((both[:, 1] < both[best, 1]).sum()) + 1,
                float(both[best, 1] - both[:, 1].min()),
            )
        )
    if not found:
        raise ValueError(
            f"no {scale} shares {LEAST} designs with the largest ({largest:g}): name other columns "
            "with --by, or a scale with --scale"
        )
    return Ranks(metric, scale, level, tuple(found), is_selected=not by)


def _alike(values: Array) -> Array:
    """Values with those that differ by ``ROUNDED`` at most, as D in whole steps does, made one."""
    known = np.unique(values)
    groups = [[known[0]]]
    for value in known[1:]:
        if value > groups[-1][0] * (1 + ROUNDED) or groups[-1][0] <= 0:
            groups.append([])
        groups[-1].append(value)
    one = {value: group[len(group) // 2] for group in groups for value in group}
    return np.array([one[value] for value in values])


def _resampled(both: Array, picks: Any) -> Array:
    """Rho and tau-b of each resample, shape (n, 2); those where one side is constant left out.

    Tau-b of a resample in which design i is w_i times is w S T w over the root of w |S| w times
    w |T| w, with the signs S and T of all differences.
    """
    from scipy import stats

    ranks = [stats.rankdata(side[picks], axis=1) for side in both.T]
    small, large = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (small * large).sum(axis=1) / np.sqrt((small**2).sum(axis=1) * (large**2).sum(axis=1))
        weights = np.array([np.bincount(pick, minlength=len(both)) for pick in picks], float)
        signs = [np.sign(np.subtract.outer(side, side)) for side in both.T]
        together, *untied = (
            ((weights @ matrix) * weights).sum(axis=1)
            for matrix in (signs[0] * signs[1], abs(signs[0]), abs(signs[1]))
        )
        tau = together / np.sqrt(untied[0] * untied[1])
    found = np.column_stack([rho, tau])
    return np.asarray(found[np.isfinite(found).all(axis=1)])


def _origins(runs: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """The run of the lowest rung that each goes on from."""
    parents = dict(zip(runs["run_id"], runs["parent"].fillna(""), strict=True))
    found = []
    for run_id in table["run_id"]:
        while parents.get(run_id):
            run_id = parents[run_id]
        found.append(str(run_id))
    return found
