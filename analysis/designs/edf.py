"""What a design space is worth: the errors of models drawn from it, as a distribution.

Source: Radosavovic et al. 2020 (arXiv 2003.13678), sec. 3.1: the error EDF, and an empirical
bootstrap for which values of a parameter are good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.intervals import interval
from analysis.tables import metric_of, usable

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

SHARE = 0.25  # of the models, in one draw of the empirical bootstrap
MIN_MODELS = 5
Interval = tuple[float, float]


@dataclass(frozen=True)
class Edf:
    """F(e): the share of models with an error below e, eq. 1 of the paper, and its band.

    Attributes
    ----------
    at, share, low, high : ndarray (n_points,)
        Errors in order, F just above each, and the pointwise bootstrap interval.
    best, median, mean : float
        Of the errors, with ``median_ci`` and ``mean_ci``.
    """

    name: str
    metric: str
    n_models: int
    at: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    best: float
    median: float
    median_ci: Interval
    mean: float
    mean_ci: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the curve as lists."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in vars(self).items()
        }


@dataclass(frozen=True)
class Comparison:
    """Two spaces: the Kolmogorov-Smirnov distance, its p-value, and the gap of the medians.

    ``better`` has the lower errors; empty where the p-value leaves it open.
    """

    one: str
    other: str
    statistic: float
    p_value: float
    median_gap: float
    median_gap_ci: Interval
    better: str


@dataclass(frozen=True)
class BestValues:
    """Which values of a parameter are good: median and interval of the best models' values."""

    space: str
    parameter: str
    n_models: int
    low: float
    middle: float
    high: float
    rank_correlation: float


def edf(
    errors: ArrayLike, name: str = "", *, metric: str = "error", draws: int = 2000,
    level: float = 0.9, seed: int = 0,
) -> Edf:  # fmt: skip
    """The error distribution of one space, with bootstrap bands over its models.

    Without ``draws`` bands and intervals are NaN.

    Raises
    ------
    ValueError
        If there are fewer than five models.
    """
    values = np.sort(np.asarray(errors, dtype=float))
    if len(values) < MIN_MODELS:
        raise ValueError(
            f"{name or 'the space'} has {len(values)} finished models, and a distribution needs "
            f"{MIN_MODELS}: run more"
        )
    at = np.unique(values)
    share = np.searchsorted(values, at, side="right") / len(values)
    samples = np.random.default_rng(seed).choice(values, size=(draws, len(values)))
    samples.sort(axis=1)
    shares = np.empty((draws, len(at)))
    for row, sample in zip(shares, samples, strict=True):
        row[:] = np.searchsorted(sample, at, side="right") / len(values)
    low, high = interval(shares, level)
    medians = interval(np.median(samples, axis=1), level)
    means = interval(samples.mean(axis=1), level)
    return Edf(
        name=name,
        metric=metric,
        n_models=len(values),
        at=at,
        share=share,
        low=low,
        high=high,
        best=float(values[0]),
        median=float(np.median(values)),
        median_ci=(float(medians[0]), float(medians[1])),
        mean=float(values.mean()),
        mean_ci=(float(means[0]), float(means[1])),
    )


def compare(
    one: ArrayLike, other: ArrayLike, names: tuple[str, str] = ("one", "other"), *,
    draws: int = 2000, level: float = 0.9, seed: int = 0,
) -> Comparison:  # fmt: skip
    """The two-sample Kolmogorov-Smirnov test, two-sided (``scipy.stats.ks_2samp``)."""
    from scipy.stats import ks_2samp

    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    test = ks_2samp(a, b)
    rng = np.random.default_rng(seed)
    gaps = np.median(rng.choice(a, size=(draws, len(a))), axis=1) - np.median(
        rng.choice(b, size=(draws, len(b))), axis=1
    )
    low, high = interval(gaps, level)
    gap = float(np.median(a) - np.median(b))
    better = ""
    if test.pvalue < 1 - level and gap:
        better = names[0] if gap < 0 else names[1]
    return Comparison(
        one=names[0],
        other=names[1],
        statistic=float(test.statistic),
        p_value=float(test.pvalue),
        median_gap=gap,
        median_gap_ci=(float(low), float(high)),
        better=better,
    )


def best_values(
    values: ArrayLike, errors: ArrayLike, *, share: float = SHARE, level: float = 0.95
) -> tuple[float, float, float]:
    """Low end, median and high end of the value that the best of a random quarter has.

    The paper draws a quarter of the models with replacement, keeps the best one's value, and
    takes the interval over ten thousand draws. Here is the limit of endless draws: of n models
    in order of error, the k-th is the best of m with probability ((n - k + 1)^m - (n - k)^m) /
    n^m; equal errors share theirs.

    Parameters
    ----------
    values, errors : array (n_models,)

    Examples
    --------
    >>> best_values([1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1], share=1.0, level=0.5)
    (3.0, 4.0, 4.0)
    """
    x, e = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    n = len(x)
    m = max(1, int(n * share))
    order = np.argsort(e, kind="stable")
    left = np.arange(n, -1, -1) / n
    weight = left[:-1] ** m - left[1:] ** m
    _, tied = np.unique(e[order], return_inverse=True)
    weight = (np.bincount(tied, weight) / np.bincount(tied))[tied]
    x = x[order]
    by_value = np.argsort(x, kind="stable")
    reached = np.cumsum(weight[by_value])
    ends = ((1 - level) / 2, 0.5, (1 + level) / 2)
    picks = [int(np.searchsorted(reached, end * reached[-1] - 1e-12)) for end in ends]
    low, middle, high = (float(x[by_value][min(pick, n - 1)]) for pick in picks)
    return low, middle, high


@dataclass(frozen=True)
class SpaceReport:
    """Everything that ``scaling edf`` says."""

    metric: str
    spaces: tuple[Edf, ...]
    comparisons: tuple[Comparison, ...]
    parameters: tuple[BestValues, ...]
    table: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the table."""
        return {
            "metric": self.metric,
            "spaces": [space.to_dict() for space in self.spaces],
            "comparisons": [vars(c) for c in self.comparisons],
            "parameters": [vars(p) for p in self.parameters],
        }


def describe_spaces(
    sources: Mapping[str, pd.DataFrame],
    parameters: tuple[str, ...] = (),
    *,
    metric: str | None = None,
    draws: int = 2000,
    level: float = 0.9,
    seed: int = 0,
) -> SpaceReport:
    """Distributions, comparisons of each two spaces, and the best values of ``parameters``.

    Parameters
    ----------
    sources : mapping of str to DataFrame
        Run tables by name; the column ``space``, where it is filled, splits and names them.
    parameters : tuple of str
        Columns to look at; those that do not vary in a space are passed over.

    Raises
    ------
    ValueError
        If a space has fewer than five finished models.
    """
    import pandas as pd

    metric = metric_of(pd.concat(list(sources.values())), metric)
    groups: dict[str, pd.DataFrame] = {}
    for source, runs in sources.items():
        table = usable(runs, metric)
        spaces = (
            table["space"].fillna("") if "space" in table.columns else pd.Series("", table.index)
        )
        for space, group in table.groupby(spaces.replace("", source)):
            name = str(space) if space not in groups else f"{space} ({source})"
            groups[name] = group
    if not groups:
        raise ValueError(f"no finished run with {metric} above 0")
    ordered = sorted(groups)
    options: dict[str, Any] = {"draws": draws, "level": level, "seed": seed}
    found = [edf(groups[name][metric], name, metric=metric, **options) for name in ordered]
    pairs = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]]
    comparisons = [
        compare(groups[a][metric], groups[b][metric], (a, b), **options) for a, b in pairs
    ]
    table = pd.concat([group.assign(space=name) for name, group in groups.items()])
    best = [
        _best(name, parameter, groups[name], metric)
        for name in ordered
        for parameter in parameters
        if parameter in groups[name].columns and groups[name][parameter].nunique() > 1
    ]
    return SpaceReport(metric, tuple(found), tuple(comparisons), tuple(best), table)


def _best(space: str, parameter: str, group: pd.DataFrame, metric: str) -> BestValues:
    from scipy.stats import spearmanr

    known = group[np.isfinite(group[parameter].astype(float))]
    values, errors = known[parameter].to_numpy(float), known[metric].to_numpy(float)
    low, middle, high = best_values(values, errors)
    varies = len(np.unique(values)) > 1 and len(np.unique(errors)) > 1
    rank = float(spearmanr(values, errors).statistic) if varies else math.nan
    return BestValues(space, parameter, len(known), low, middle, high, rank)
