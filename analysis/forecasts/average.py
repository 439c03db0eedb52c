"""The average of laws that backtests inside the runs call for.

No law of learning curves is right everywhere, and choosing the one that looked best is worse
than a plain average: rigid laws err to one side, flexible ones to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.forecasts.cutoffs import Cutoff, log_size
from analysis.laws import Array, Law

SHARPNESS, FADE = 2.0, 0.8
"""Weights are (mean square error)^-SHARPNESS; each further cut-off counts FADE times the last."""

WORST = 0.5
"""An error of log loss beyond which it counts no more."""


@dataclass(frozen=True)
class Average:
    """A weighted mean of laws, in log space or on the values.

    Attributes
    ----------
    laws, params, weights : tuples, array
        Each law, its parameters ``(p,)`` and its weight.
    noise : float
        Standard deviation of the residuals of the rows fitted.
    end, n_inputs : float, int
        Largest log size fitted and the inputs multiplied in a size (``cutoffs``).
    x_cols, by : tuple of str
        The inputs, and those that are multiplied.
    space : "log" or "linear"
    """

    laws: tuple[Law, ...]
    params: tuple[Array, ...] = field(repr=False)
    weights: Array
    noise: float
    end: float
    n_inputs: int
    x_cols: tuple[str, ...]
    by: tuple[str, ...]
    space: str = "log"

    def at(self, inputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """The mean at ``inputs (n,)`` and the scale of its error up to a factor, ``(n,)`` each.

        The scale has three parts: noise of the observation; the same growing with the log
        distance beyond the runs (a slope known as well as the level is); and the laws'
        disagreement, in which each law counts alike: weights say which were right nearby, not
        how wrong they may be far off.
        """
        each = predictions(self.laws, self.params, inputs, self.space)
        centre = self.weights @ each
        distance = np.maximum(self.beyond(inputs) / self.n_inputs, 0.0)
        between = np.mean((each - centre) ** 2, axis=0)
        return centre, np.sqrt(self.noise**2 * (1 + distance**2) + between)

    def beyond(self, inputs: tuple[Array, ...]) -> Array:
        """Log of the size of each row over the largest fitted, ``(n,)``."""
        return log_size(dict(zip(self.x_cols, inputs, strict=True)), self.by) - self.end


def predictions(
    laws: tuple[Law, ...], params: Sequence[Array], inputs: tuple[Array, ...], space: str
) -> Array:
    """What each law says ``(m, ..., n)``, as a logarithm in log space, of ``params (..., p)``."""
    with np.errstate(all="ignore"):
        each = [law.predict(p, *inputs) for law, p in zip(laws, params, strict=True)]
        found = np.array([np.log(x) for x in each] if space == "log" else each)
    return np.where(np.isfinite(found), found, np.nan)


def weigh(errors: list[Array], n: int, sharpness: float = SHARPNESS) -> Array:
    """Weights ``(m,)`` that sum to 1, in proportion to mean square error ^ -``sharpness``.

    ``errors`` are errors of log loss ``(m, n)``, one array a cut-off, the largest cut-off first.

    Notes
    -----
    Bates and Granger 1969, *The combination of forecasts*, without the covariances, which few
    cut-offs cannot tell.
    """
    if not errors:
        return np.full(n, 1 / n)
    squares = [np.mean(np.clip(error, -WORST, WORST) ** 2, axis=1) for error in errors]
    mean = np.average(squares, axis=0, weights=FADE ** np.arange(len(errors), dtype=float))
    # a law that is exact to 1e-4 has no claim over one that is exact to 1e-5
    weights = (mean + 1e-8) ** -sharpness
    return np.asarray(weights / weights.sum())


def noise_of(residual: Array, n_params: float) -> float:
    """Standard deviation of residuals, those beyond three median deviations cut back to there."""
    size = np.abs(residual)
    cut = np.minimum(size, 3 * 1.4826 * np.median(size))
    free = max(len(size) - n_params, 2.0, len(size) / 3)
    return float(np.sqrt(np.sum(cut**2) / free))


def errors_ahead(each: Array, target: Array, cuts: list[Cutoff]) -> list[Array]:
    """Errors ``(m, n)`` of predictions ``(m, 1 + cuts, n)`` beyond each cut, by its own fit."""
    return [each[:, 1 + i][:, cut.ahead] - target[cut.ahead] for i, cut in enumerate(cuts)]
