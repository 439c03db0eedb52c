"""Penalties on residuals: Huber, least absolute deviation, least squares, Tukey.

The choice is the estimand: on the Chinchilla runs the Huber delta alone moves B from 2906
(delta 1e-2) to 2143 (1e-3) and 2085 (least absolute deviation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws import Array
from scaling.base import refuse_unknown

LOSS_FNS = ("huber", "lad", "mse", "tukey")


@dataclass(frozen=True)
class Penalty:
    """rho(r) of a residual r (prediction minus observation, in log or linear space).

    ``huber``: r^2/2 up to ``delta``, then ``delta (|r| - delta/2)``. ``lad``: ``|r|``, minimised as
    the limit of small delta. ``mse``: r^2/2. ``tukey``: the biweight with cut-off ``delta``,
    delta^2/6 (1 - (1 - (r/delta)^2)^3), which ignores what lies beyond. Residuals of runs that
    lie above the law (r < 0) count ``asymmetry`` times.
    """

    loss_fn: str = "huber"
    delta: float = 1e-3
    asymmetry: float = 1.0

    def __post_init__(self) -> None:
        if self.loss_fn not in LOSS_FNS:
            refuse_unknown(self.loss_fn, LOSS_FNS, "loss_fn")
        for name, value in (("delta", self.delta), ("asymmetry", self.asymmetry)):
            if not 0 < value < np.inf:
                raise ValueError(f"{name} {value} is not a positive number")

    def side(self, r: Array) -> Array:
        """How much each residual counts for its sign."""
        return np.where(r < 0, self.asymmetry, 1.0)

    def rho(self, r: Array) -> Array:
        """The penalty of each residual."""
        size = np.abs(r)
        match self.loss_fn:
            case "huber":
                inside = np.minimum(size, self.delta)
                value = inside * (size - 0.5 * inside)
            case "lad":
                value = size
            case "mse":
                value = 0.5 * r * r
            case _:
                value = _biweight(r, self.delta)
        return value * self.side(r)

    def smoothed(self, r: Array, delta: Array, exact: bool) -> Array:
        """The penalty that the solver sees at ``delta``, at least the own one.

        Huber's and ``lad`` become the pseudo-Huber delta^2 (sqrt(1 + (r/delta)^2) - 1), whose
        smoothness lets Newton's method follow its minimum as delta falls; ``exact`` is Huber's.
        """
        if self.loss_fn == "mse":
            value = 0.5 * r * r
        elif self.loss_fn == "tukey":
            value = _biweight(r, delta)
        elif exact:
            inside = np.minimum(np.abs(r), delta)
            value = inside * (np.abs(r) - 0.5 * inside)
        else:
            value = delta * r * r / (delta + np.sqrt(delta * delta + r * r))
        return value if self.asymmetry == 1.0 else value * self.side(r)

    def slopes(self, r: Array, delta: Array, exact: bool) -> tuple[Array, Array]:
        """First derivative over r, and second derivative, of ``smoothed`` at each residual."""
        if self.loss_fn == "mse":
            ratio, second = np.ones_like(r), np.ones_like(r)
        elif self.loss_fn == "tukey":
            u = np.minimum((r / delta) ** 2, 1)
            ratio, second = (1 - u) ** 2, (1 - u) * (1 - 5 * u)
        elif exact:
            ratio = np.minimum(delta / np.maximum(np.abs(r), 1e-30), 1.0)
            second = np.floor(ratio)
        else:
            ratio = delta / np.sqrt(delta * delta + r * r)
            second = ratio * ratio * ratio
        if self.asymmetry == 1.0:
            return ratio, second
        side = self.side(r)
        return ratio * side, second * side


def _biweight(r: Array, delta: Array | float) -> Array:
    return delta**2 / 6 * (1 - np.maximum(1 - (r / delta) ** 2, 0) ** 3)
