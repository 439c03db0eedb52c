"""Two steps to a downstream metric: from sizes to a loss, from the loss to the metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits import Bootstrap, Estimand, Fit
from analysis.fits import fit as fit_law
from analysis.intervals import interval
from analysis.laws import Array, Law

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Chain:
    """A law of the loss on a task, and one from that loss to the task's metric.

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
        return self.second.predict({self.second.x_cols[0]: self.first.predict(table)})

    def predict_ci(
        self, table: Mapping[str, Any] | pd.DataFrame, level: float = 0.9, seed: int = 0
    ) -> tuple[Array, Array]:
        """Interval of a new observation of the metric at each row, both steps' errors in it.

        Each draw of the first law, with one of its residuals, gives a loss; that loss, put
        through the same draw of the second law, with one of its residuals, gives a metric. Both
        fits drew the same rows, so that what goes together in them does here.

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
        return interval(_observed(self.second, metric, seed + 1), level)


def _observed(f: Fit, predicted: Array, seed: int) -> Array:
    """Predictions ``(k, n)`` with a residual of the fit each, widened by sqrt(n / (n - p))."""
    n = f.n_runs
    wide = -f.residuals * np.sqrt(n / max(n - len(f.params), 1))
    added = wide[np.random.default_rng(seed).integers(0, n, predicted.shape)]
    return np.asarray(predicted * np.exp(added) if f.space == "log" else predicted + added)


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
