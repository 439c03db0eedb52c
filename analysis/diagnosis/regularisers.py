"""What regularisation did in the runs: pairs that differ in it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from scaling import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Array

OFF = {
    "dropout": 0, "weight_decay": 0, "label_smoothing": 0, "mixup": 0, "crop_padding": 0,
    "crop_scale": 1, "flip": 0, "colour_jitter": 0, "stochastic_depth": 0, "drop_path": 0,
}  # fmt: skip
"""Options that regularise, and the value at which each does nothing."""
SAME = ("family", "seed", "data_seed", "lr", "batch_size")
NEAR, ENOUGH = 0.05, 3
"""Distance in log N and log D up to which a pair is at a point; and how many are enough there."""


@dataclass(frozen=True)
class Gain:
    """What an option does to a metric at a point, from pairs of runs.

    Attributes
    ----------
    name : str
        The option and its value.
    change : float
        Expected change of the metric, negative where it helps.
    error : float
        Standard error of that; infinite of a single pair.
    freedom : int
        Degrees of freedom of its t.
    pairs : int
    """

    name: str
    change: float
    error: float
    freedom: int
    pairs: int

    def draws(self, count: int, rng: np.random.Generator) -> Array:
        """Draws ``(count,)`` of the change."""
        if not self.freedom:
            return np.full(count, np.nan)
        return np.asarray(self.change + self.error * rng.standard_t(self.freedom, count))

    def ci(self, level: float) -> tuple[float, float]:
        """The interval of the change; NaN of a single pair."""
        if not self.freedom:
            return float("nan"), float("nan")
        half = float(student.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.change - half, self.change + half


def _options(runs: pd.DataFrame) -> dict[str, pd.Series]:
    """The regularising options that the runs differ in, as numbers."""
    found = {}
    for name, off in OFF.items():
        if name in runs.columns:
            values = runs[name].fillna(off).astype(float)
            if values.nunique() > 1:
                found[name] = values
    return found


def plain(runs: pd.DataFrame) -> pd.Series:
    """Which runs have the least regularisation among these, ``(n_runs,)``: the base of pairs.

    All of them where none has the least of every option.
    """
    import pandas as pd

    mine = pd.Series(True, index=runs.index)
    for name, values in _options(runs).items():
        distance = (values - OFF[name]).abs()
        mine &= distance == distance.min()
    return mine if mine.any() else ~mine


def regularisers(runs: pd.DataFrame, metric: str, point: dict[str, float]) -> list[Gain]:
    """The change of ``metric`` at ``point`` by each value of each option that regularises.

    A pair is a plain run and one that differs in the option alone: sizes, seed, rates and options
    that are words, such as the data, are the same. The change is the mean of the pairs at the point
    where these are three or more, else a plane over log N and log D, so that an option that helps
    large models and hurts small ones is seen to; the mean of all where they are too few for that.
    """
    options, base = _options(runs), plain(runs)
    sizes = [name for name in ("num_params", "num_tokens") if name in runs.columns]
    told = [c for c in runs.columns if c not in COLUMNS and c not in OFF]
    words = [c for c in told if runs[c].dtype.kind not in "biuf"]
    keys = [*sizes, *(name for name in SAME if name in runs.columns), *words]
    found = []
    for name, values in options.items():
        others = [other for other in options if other != name]
        alone = np.ones(len(runs), dtype=bool)
        for other in others:
            alone &= (options[other] == options[other][base].iloc[0]).to_numpy()
        for value in sorted(set(values[~base])):
            changed = runs[alone & (values == value).to_numpy() & ~base.to_numpy()]
            pairs = runs[base].merge(changed, on=keys, suffixes=("", "_changed"))
            if len(pairs):
                change = (pairs[f"{metric}_changed"] - pairs[metric]).to_numpy(float)
                at = [np.log(pairs[size].to_numpy(float)) for size in sizes if size in point]
                here = [np.log(point[size]) for size in sizes if size in point]
                found.append(_gain(f"{name} {value:g}", change, at, here))
    return found


def _gain(name: str, change: Array, at: list[Array], here: list[float]) -> Gain:
    """Least squares of the change on the sizes that vary, at a point."""
    near = np.ones(len(change), dtype=bool)
    for x, h in zip(at, here, strict=True):
        near &= np.abs(x - h) < NEAR
    if near.sum() >= ENOUGH:
        change, at = change[near], [x[near] for x in at]
    varied = [x - h for x, h in zip(at, here, strict=True) if len(set(x)) > 1]
    columns = [np.ones(len(change)), *varied]
    if len(change) < len(columns) + 2:
        columns = columns[:1]
    design = np.stack(columns, axis=1)
    solved, *_ = np.linalg.lstsq(design, change, rcond=None)
    freedom = len(change) - len(columns)
    residual = change - design @ solved
    spread = float(residual @ residual) / freedom if freedom else np.inf
    covariance = np.linalg.pinv(design.T @ design)[0, 0]
    error = float(np.sqrt(spread * covariance)) if freedom else float("inf")
    return Gain(name, float(solved[0]), error, freedom, len(change))
