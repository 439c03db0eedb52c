"""A prediction beyond the runs: one law or an average of laws, with an interval from backtests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from analysis.forecasts.cutoffs import log_size
from analysis.forecasts.show import display
from analysis.intervals import tails
from analysis.laws import Array, Law

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Forecast:
    """A weighted mean of laws on log loss, and how far such means missed in backtests.

    Attributes
    ----------
    law : str
        The law's name, or ``"auto"``.
    laws, params, weights : tuples, array
        The members: each law, its parameters ``(p,)`` and its weight.
    x_cols, y_col : tuple of str, str
        Columns of inputs and of what is predicted.
    n_runs : int
        Rows fitted.
    noise : float
        Standard deviation of the log residuals of the rows fitted.
    end, n_inputs : float, int
        Largest log size fitted and the inputs multiplied in a size (``cutoffs``).
    scores, score_weights : arrays
        ``|error|`` / spread of predictions beyond inner cut-offs, the spread being what ``spread``
        says, and the weight of each.
    backtests : tuple of dict
        ``size``, ``n_train``, ``n_test``, ``rmse_log`` and ``bias_log`` of each inner cut-off.
    excluded : tuple of dict
        Rows not used and why.
    """

    law: str
    laws: tuple[Law, ...]
    params: tuple[Array, ...]
    weights: Array
    x_cols: tuple[str, ...]
    y_col: str
    n_runs: int
    noise: float
    end: float
    n_inputs: int
    scores: Array = field(repr=False)
    score_weights: Array = field(repr=False)
    backtests: tuple[dict[str, Any], ...] = field(repr=False)
    excluded: tuple[dict[str, Any], ...] = field(repr=False, default=())

    def predict(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Predictions ``(n,)``: exp of the weighted mean of the members' log predictions."""
        return np.exp(self.weights @ self._members(table))

    def predict_ci(
        self, table: Mapping[str, Any] | pd.DataFrame, level: float = 0.9
    ) -> tuple[Array, Array]:
        """Interval of a new observation at each row, ``(n,)`` each.

        The prediction times exp(-+ q s): s is the ``spread``, q the quantile ``level`` of the
        scores, so that the intervals would have covered that share of the inner backtests
        (split conformal prediction with the spread as scale; Lei et al. 2018, sec. 5.2). Inner
        cut-offs are few and overlap: they may widen an interval, but q is at least the quantile
        of Student's t with five degrees of freedom.
        """
        half = self._quantile(level) * self.spread(table)
        centre = self.weights @ self._members(table)
        return np.exp(centre - half), np.exp(centre + half)

    def spread(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """sqrt(noise^2 (1 + distance^2) + variance among members), ``(n,)``; see ``spread``."""
        members = self._members(table)
        distance = (self.log_sizes(table) - self.end) / self.n_inputs
        return spread(members, self.weights @ members, self.noise, distance)

    def log_sizes(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Log size of each row ``(n,)``, as that of ``end``."""
        return log_size(self._inputs(table))[0]

    def to_dict(self) -> dict[str, Any]:
        """The members, their parameters and weights, noise and inner backtests, for JSON."""
        return {
            "law": self.law,
            "members": [
                {
                    "law": law.name,
                    "weight": float(weight),
                    "params": dict(zip(law.names, params.tolist(), strict=True)),
                }
                for law, params, weight in zip(self.laws, self.params, self.weights, strict=True)
            ],
            "x_cols": list(self.x_cols),
            "y_col": self.y_col,
            "n_runs": self.n_runs,
            "noise": self.noise,
            "half_width_90": self._quantile(0.9),
            "backtests": list(self.backtests),
            "excluded": list(self.excluded),
        }

    def __repr__(self) -> str:
        return display(self).text

    def _repr_html_(self) -> str:
        return display(self).html

    def _quantile(self, level: float) -> float:
        _, below = tails(level)
        order = np.argsort(self.scores)
        share = np.cumsum(self.score_weights[order])
        place = min(int(np.searchsorted(share, level * share[-1])), len(order) - 1)
        return max(float(self.scores[order][place]), float(stdtrit(5, below)))

    def _inputs(self, table: Mapping[str, Any] | pd.DataFrame) -> dict[str, Array]:
        missing = [name for name in self.x_cols if name not in table]
        if missing:
            raise ValueError(f"{self.law} predicts from {', '.join(missing)}: not given")
        return {name: np.atleast_1d(np.asarray(table[name], dtype=float)) for name in self.x_cols}

    def _members(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Log predictions of the members ``(m, n)``."""
        inputs = list(self._inputs(table).values())
        with np.errstate(all="ignore"):
            return np.array(
                [
                    np.log(law.predict(p, *inputs))
                    for law, p in zip(self.laws, self.params, strict=True)
                ]
            )


def spread(members: Array, centre: Array, noise: float, distance: Array) -> Array:
    """Scale of the error of ``centre (n,)``, a mean of ``members (m, n)``, up to a factor.

    Three parts: noise of the observation; the same growing with the log ``distance`` beyond the
    runs (a slope known as well as the level is); and the laws' disagreement, in which each law
    counts alike: weights say which were right nearby, not how wrong they may be far off.
    """
    between = np.mean((members - centre) ** 2, axis=0)
    scale: Array = np.sqrt(noise**2 * (1 + np.maximum(distance, 0) ** 2) + between)
    return scale
