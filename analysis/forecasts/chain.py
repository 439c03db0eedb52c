"""Two steps to a downstream metric: from sizes to a loss, from the loss to the metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits import Bootstrap, Estimand, Fit
from analysis.fits import fit as fit_law
from analysis.forecasts.bounds import whole_of
from analysis.intervals import interval
from analysis.laws import Array, Law

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Chain:
    """A law of the loss on a task, and one from that loss to the task's metric.

    A metric that is from 0 to 1 in all runs (0 to 100 if its name is a score's) is a share, and so
    is what is predicted of it, whatever the curve says.

    Source: Bhagia et al. 2024 (arXiv 2412.04403), section 3.
    """

    first: Fit
    second: Fit

    @property
    def status(self) -> str:
        """``"ok"``, or what to be careful of in either step."""
        said = [f"{f.y_col}: {f.status}" for f in (self.first, self.second) if not f.identified]
        return "; ".join(said) or "ok"

    def predict(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """The metric ``(n,)`` at rows with the first law's inputs."""
        predicted = self.second.predict({self.second.x_cols[0]: self.first.predict(table)})
        return predicted if self.whole is None else np.clip(predicted, 0.0, self.whole)

    @property
    def whole(self) -> float | None:
        """What the metric is a share of, 1 or 100 (percent); none if it is no share."""
        return whole_of(self.second.observed, self.second.y_col)

    def predict_ci(
        self, table: Mapping[str, Any] | pd.DataFrame, level: float = 0.9, seed: int = 0
    ) -> tuple[Array, Array]:
        """Interval of a new observation of the metric at each row, both steps' errors in it.

        Each draw of the first law, with one of its residuals, gives a loss; that loss, put
        through the same draw of the second law, with one of its residuals, gives a metric. Both
        fits drew the same rows, so that what goes together in them does here. Residuals of a
        share p are of the angle 2 arcsin(sqrt(p)), whose scatter is the same at any p if the metric
        counts answers (Bartlett 1936; Freeman and Tukey 1950); it leads to no share beyond 0 and 1.

        Raises
        ------
        ValueError
            If the fits have no draws, or not the same number.
        """
        draws = self.first.draws, self.second.draws
        if draws[0] is None or draws[1] is None or len(draws[0]) != len(draws[1]):
            raise ValueError("both fits of a chain need draws, as many: fit with bootstrap=1000")
        at = [np.asarray(table[name], dtype=float) for name in self.first.x_cols]
        losses = _observed(self.first, self.first.law.predict(draws[0], *at), seed)
        metric = np.stack(
            [self.second.law.predict(one, loss) for one, loss in zip(draws[1], losses, strict=True)]
        )
        if self.whole is None:
            return interval(_observed(self.second, metric, seed + 1), level)
        f, whole = self.second, self.whole
        missed = _angle(f.observed / whole) - _angle(f.fitted / whole)
        angles = _angle(metric / whole) + _drawn(missed, f, metric.shape, seed + 1)
        return interval(whole * np.sin(0.5 * angles) ** 2, level)


def _angle(share: Array) -> Array:
    return np.asarray(2.0 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0))))


def _observed(f: Fit, predicted: Array, seed: int) -> Array:
    """Predictions ``(k, n)`` with a residual of the fit each."""
    added = _drawn(-f.residuals, f, predicted.shape, seed)
    return np.asarray(predicted * np.exp(added) if f.space == "log" else predicted + added)


def _drawn(missed: Array, f: Fit, shape: tuple[int, ...], seed: int) -> Array:
    """Draws ``shape`` of what the fit ``missed`` of its runs, widened by sqrt(n / (n - p))."""
    wide = missed * np.sqrt(f.n_runs / max(f.n_runs - len(f.params), 1))
    return np.asarray(wide[np.random.default_rng(seed).integers(0, f.n_runs, shape)])


def chain(
    runs: pd.DataFrame,
    loss: str,
    metric: str,
    *,
    first: str | Law = "chinchilla",
    second: str | Law = "sigmoid",
    bootstrap: int = 0,
    seed: int = 0,
) -> Chain:
    """Fit both steps to ``runs``: ``first`` to the column ``loss``, ``second`` to ``metric``.

    Raises
    ------
    ValueError
        As ``fit``; rows that either step cannot use are left out of that step.
    """
    how = Bootstrap(bootstrap)
    return Chain(
        fit_law(first, runs, Estimand(y_col=loss), bootstrap=how, seed=seed),
        fit_law(second, runs, Estimand("mse", x_col=loss, y_col=metric), bootstrap=how, seed=seed),
    )
