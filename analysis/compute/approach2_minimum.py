"""The best size at one compute budget, with what its losses allow, and its status.

A minimum counts only if it is interior: the curve has a lowest point strictly between the
smallest and the largest size, and so have at least half of the curves that the losses allow. One
far below every loss that was measured is a swing of the curve between sizes, and ``unstable``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.compute.approach2_budgets import SPAN, Budget
from analysis.compute.approach2_methods import SIZES, Method, akima, parabola
from analysis.compute.approach2_shape import Profile
from analysis.intervals import interval

Array = NDArray[np.float64]
SMOOTHING = 0.002
"""Relative noise under which Akima's median is taken: seeds at low loss, Porian et al. 2024."""
_SE_FLOOR = 0.33  # of the spacing of sizes, Porian et al. 2024, appendix B


@dataclass(frozen=True)
class Minimum:
    """The best size at one budget.

    Attributes
    ----------
    flops, num_params, num_tokens, loss : float
        C, N*, D* and L* by the method; NaN where ``status`` is not ``ok``.
    status : str
        ``ok``, ``at the edge``, ``not convex``, ``unstable``, ``too few sizes`` or ``no one
        budget`` (FLOPs that run into each other).
    n_sizes : int
        Distinct sizes at this budget, more than 1 % apart.
    log_se : float
        Half the width of the central 68 % of ``draws``; NaN without.
    draws : ndarray, shape (n_draws,)
        ln of the best sizes that the losses allow (``analysis.compute.approach2_shape``),
        whatever the method; NaN where a draw has none, empty where the noise is not known.
    tokens : (float, float)
        g and h of D = e^h N^g among the runs of the budget.
    profile : Profile, optional
        How far beyond ``draws`` the curves that are not excluded reach; None without a minimum.
    too_few : bool
        Whether the budget has too few sizes for a minimum.
    """

    flops: float
    num_params: float
    num_tokens: float
    loss: float
    status: str
    n_sizes: int
    log_se: float
    draws: Array
    tokens: tuple[float, float]
    profile: Profile | None = None
    too_few: bool = False

    def ci(self, level: float = 0.9) -> tuple[float, float]:
        """Interval of the true N*, NaN if not known.

        The percentiles of ``draws``, as far out as the profile likelihood reaches, and
        widened to hold ``num_params``: where a method is off, its interval reaches from its
        estimate to where the losses say that the minimum is.
        """
        known = self.draws[np.isfinite(self.draws)]
        if self.profile is not None:
            known = known + stretched(known, self.profile.wider(known))
        low, high = held(known, np.log(self.num_params), level)
        return float(np.exp(low)), float(np.exp(high))

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """Plain values, the interval as ``num_params_ci``."""
        return {
            "flops": self.flops,
            "num_params": self.num_params,
            "num_params_ci": list(self.ci(level)),
            "num_tokens": self.num_tokens,
            "loss": self.loss,
            "status": self.status,
            "n_sizes": self.n_sizes,
        }


def stretched(draws: Array, sides: tuple[float, float]) -> Array:
    """What moves each draw ``sides`` times as far below, or above, their median as it is."""
    away = draws - (np.median(draws) if len(draws) else 0.0)
    return np.asarray(away * (np.where(away < 0, *sides) - 1))


def held(draws: Array, estimate: float, level: float) -> tuple[float, float]:
    """The central interval of ``draws``, widened to hold ``estimate``; NaN without either."""
    low, high = interval(draws[np.isfinite(draws)], level)
    return float(np.minimum(low, estimate)), float(np.maximum(high, estimate))


def no_minimum(budget: Budget, method: Method) -> Minimum | None:
    """Why a budget can have no minimum by its design, as a ``Minimum``; None if it can."""
    sizes, none = len(budget.log_n), np.empty(0)
    if budget.span > SPAN:
        return _without(budget, f"no one budget: FLOPs differ {budget.span:.2g}-fold", none)
    if sizes < SIZES[method]:
        status = f"too few sizes ({method} needs {SIZES[method]})"
        return _without(budget, status, none, too_few=True)
    return None


def minimum(
    budget: Budget,
    method: Method,
    likeliest: tuple[float, float],
    draws: Array,
    profile: Profile,
    smoothing: float,
    rng: np.random.Generator,
) -> Minimum:
    """The minimum of a budget by ``method``, with its status.

    Parameters
    ----------
    budget : Budget
        With sizes enough for the method.
    likeliest : (float, float)
        ln of the best size and of its loss on the likeliest sum of powers.
    draws : array ``(n_draws,)``
        ln of the best sizes that the losses allow.
    profile : Profile
        How far the curves that are not excluded reach in it.
    smoothing, rng : float, Generator
        Relative noise under which Akima's median is taken, and its randomness.
    """
    x = budget.log_n
    known = np.isfinite(draws)
    inside = (draws > x[0]) & (draws < x[-1])
    share, beyond = (
        (float(np.mean(inside)), float(np.mean(known & ~inside))) if len(draws) else (1.0, 0.0)
    )
    convex = True
    if method == "powers":
        at, depth, convex = likeliest[0], float(np.exp(likeliest[1])), np.isfinite(likeliest[0])
    elif method == "parabola":
        at, depth, convex = parabola(x, budget.log_loss)
    else:
        at, depth = akima(x, budget.log_loss, smoothing / np.sqrt(budget.repeats), rng)
    status = "ok"
    if not convex:
        status = "not convex"
    elif not x[0] < at < x[-1] or beyond > 0.5:
        status = "at the edge"
    elif share < 0.5 or _dips(depth, np.exp(budget.log_loss)):
        status = "unstable"
    if status != "ok":
        return _without(budget, status, draws)
    se = float(np.ptp(np.quantile(draws[known], (0.16, 0.84))) / 2) if known.any() else np.nan
    if method == "akima":
        se = float(np.maximum(se, _SE_FLOOR * (x[-1] - x[0]) / (len(x) - 1)))
    g, h = budget.tokens
    return Minimum(
        flops=budget.flops,
        num_params=float(np.exp(at)),
        num_tokens=float(np.exp(g * at + h)),
        loss=depth,
        status=status,
        n_sizes=len(x),
        log_se=float(np.maximum(se, 1e-9)) / share,
        draws=draws,
        tokens=budget.tokens,
        profile=profile,
    )


def _without(budget: Budget, status: str, draws: Array, too_few: bool = False) -> Minimum:
    nan, sizes = float("nan"), len(budget.log_n)
    return Minimum(
        budget.flops, nan, nan, nan, status, sizes, nan, draws, budget.tokens, too_few=too_few
    )


def _dips(depth: float, losses: Array) -> bool:
    """Whether a minimum lies below all losses by more than half their range.

    Of a parabola at evenly spaced ln N it is an eighth of the range at most.
    """
    return bool(depth < losses.min() - 0.5 * np.ptp(losses))
