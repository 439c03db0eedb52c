"""Irreducible error, avoidable bias and variance: a held-out error in three parts.

As Ng 2018, *Machine Learning Yearning*, chapters 20 to 23, has them: what nobody can do better than
(human or Bayes error, or the E of a law), how far the error on training data is above it (avoidable
bias), and how far that on held-out data is above that on training data (variance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.stats import norm

if TYPE_CHECKING:
    import pandas as pd

    from analysis.forecasts import Forecast

TRAINING = {"loss": "loss_train", "error": "error_train"}
"""Of each metric the column with it on training data, as our runs have it."""
MOSTLY, MAINLY = 0.75, 0.5
"""Share of what can be avoided from which on a part is the problem, and is mainly it."""


@dataclass(frozen=True)
class Parts:
    """A held-out error (or loss), one on training data, and what neither can be below.

    Examples
    --------
    >>> found = Parts(0.01, 0.05, 0.06)
    >>> round(found.bias, 4), round(found.variance, 4), found.verdict
    (0.04, 0.01, 'bias')
    """

    irreducible: float
    train: float
    heldout: float

    @property
    def bias(self) -> float:
        """Avoidable bias: training error above the irreducible one; negative if it is below."""
        return self.train - self.irreducible

    @property
    def variance(self) -> float:
        """Held-out error above the training error; negative if it is below."""
        return self.heldout - self.train

    @property
    def verdict(self) -> str:
        """``bias`` or ``variance``, ``mainly`` one of them, ``both alike`` or ``neither``.

        By the shares of what is positive of the two: from three quarters on it is the one, from
        more than half mainly.
        """
        bias, variance = max(0.0, self.bias), max(0.0, self.variance)
        if bias + variance <= 1e-12:
            return "neither"
        share = round(bias / (bias + variance), 9)
        name, most = ("bias", share) if share > MAINLY else ("variance", 1 - share)
        if most == MAINLY:
            return "both alike"
        return name if most >= MOSTLY else f"mainly {name}"

    def spread(self, examples: float, level: float) -> tuple[float, float]:
        """Half-widths of the intervals of bias and variance where errors are shares of examples.

        By the normal approximation of a share of ``examples``, as many to train as held out.
        """
        of_train, of_heldout = (p * (1 - p) / examples for p in (self.train, self.heldout))
        z = float(norm.ppf(0.5 + level / 2))
        return z * float(of_train**0.5), z * float((of_train + of_heldout) ** 0.5)


def training_column(runs: pd.DataFrame, metric: str) -> str | None:
    """The column with ``metric`` on training data; None where no run has it."""
    name = TRAINING.get(metric, f"{metric}_train")
    return name if name in runs.columns and runs[name].notna().any() else None


def irreducible_of(found: Forecast) -> tuple[float, float, float] | None:
    """E of the laws of a forecast: their weighted mean, the least and the largest; None without."""
    pairs = [
        (float(weight), float(params[law.names.index("E")]))
        for law, params, weight in zip(found.laws, found.average.params, found.weights, strict=True)
        if "E" in law.names
    ]
    total = sum(weight for weight, _ in pairs)
    if not total:
        return None
    values = [value for _, value in pairs]
    return sum(w * v for w, v in pairs) / total, min(values), max(values)


def with_parts(runs: pd.DataFrame, metric: str, irreducible: float) -> pd.DataFrame:
    """``runs`` that have ``metric`` on both, with columns ``irreducible``, ``bias``, ``variance``.

    Nothing is smoothed: each run has its own numbers.

    Raises
    ------
    ValueError
        If no run has it on training data.
    """
    train = training_column(runs, metric)
    if train is None:
        raise ValueError(f"no {metric} on training data: there is no column {TRAINING.get(metric)}")
    both = runs[runs[train].notna() & runs[metric].notna()]
    return both.assign(
        irreducible=irreducible,
        bias=both[train] - irreducible,
        variance=both[metric] - both[train],
        train=both[train],
    )


def means(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Of :func:`with_parts`: the means over seeds at each size and amount of data, by these."""
    keys = [name for name in ("num_params", "num_tokens") if name in found.columns]
    of = [metric, "train", "irreducible", "bias", "variance"]
    counted = found.assign(runs=1)
    how = {**dict.fromkeys(of, "mean"), "runs": "sum"}
    return counted.groupby(keys, as_index=False).agg(how).sort_values(keys, ignore_index=True)
