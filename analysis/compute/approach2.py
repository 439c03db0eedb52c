"""Approach 2: the best size at each compute budget, then N* = k C^a through the budgets.

Two ways lead from the runs of a budget (:mod:`analysis.compute.approach2_budgets`) to its minimum:
``parabola`` and ``akima`` of :mod:`analysis.compute.approach2_methods`.

A minimum counts only if it is interior: the curve has a lowest point strictly between the
smallest and the largest size, and so in at least half of the draws. One far below every loss
that was measured is a swing of the curve between sizes, and ``unstable``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.compute.approach2_budgets import Budget, budgets_of
from analysis.compute.approach2_methods import Method, akima, parabola
from analysis.intervals import interval
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
NOISE = 0.002  # relative seed noise at low loss, Porian et al. 2024, appendix B
_SPAN = 1.5  # FLOPs of one budget agree within this factor
_SE_FLOOR = 0.33  # of the spacing of sizes, Porian et al. 2024


@dataclass(frozen=True)
class Minimum:
    """The best size at one budget.

    Attributes
    ----------
    flops, num_params, num_tokens, loss : float
        C, N*, D* and L*; NaN where ``status`` is not ``ok``.
    status : str
        ``ok``, ``at the edge``, ``not convex``, ``unstable``, ``too few sizes`` or ``no one
        budget`` (FLOPs that run into each other).
    n_sizes : int
        Distinct sizes at this budget, more than 1 % apart.
    log_se : float
        Standard deviation of ln N* under noise.
    draws : ndarray, shape (n_draws,)
        ln N* under re-drawn noise; NaN where a draw has no interior minimum.
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
    too_few: bool = False

    def ci(self, level: float = 0.9) -> tuple[float, float]:
        """Percentile interval of N*; NaN without a minimum."""
        return _interval(np.exp(self.draws), level)

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


class NoExponentError(NoAnswerError):
    """Fewer than two budgets have an interior minimum; ``minima`` are what there is."""

    def __init__(self, message: str, minima: tuple[Minimum, ...]) -> None:
        super().__init__(message)
        self.minima = minima


@dataclass(frozen=True)
class IsoFlop:
    """N* = k C^a and D* = m C^b through the minima of the budgets.

    Attributes
    ----------
    minima : tuple of Minimum
        One per budget, by ``flops``; all of them, whatever their status.
    a, b, log_k, log_m : float
        Exponents and ln of the factors, by least squares weighted with 1 / ``log_se`` ^2.
    draws : ndarray, shape (n_draws, 2)
        (a, b) under re-drawn noise.
    noise : float
        Relative noise of the loss that was assumed or estimated.
    method : {"parabola", "akima"}
    """

    minima: tuple[Minimum, ...]
    a: float
    b: float
    log_k: float
    log_m: float
    draws: Array
    noise: float
    method: Method

    def ci(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile intervals of ``a`` and ``b``."""
        return {name: _interval(self.draws[:, i], level) for i, name in enumerate("ab")}

    def num_params(self, flops: Any) -> Array:
        """N*(C) = k C^a, of the shape of ``flops``."""
        return np.asarray(np.exp(self.log_k + self.a * np.log(flops)))

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """Plain values: ``budgets``, ``a``, ``b``, ``a_ci``, ``b_ci``, ``method``, ``noise``."""
        ci = self.ci(level)
        return {
            "budgets": [m.to_dict(level) for m in self.minima],
            "a": self.a,
            "b": self.b,
            "a_ci": list(ci["a"]),
            "b_ci": list(ci["b"]),
            "method": self.method,
            "noise": self.noise,
        }


def isoflop(
    runs: pd.DataFrame,
    *,
    method: Method = "parabola",
    noise: float | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> IsoFlop:
    """Iso-FLOP minima N*(C) and their power law, from runs at several compute budgets.

    Parameters
    ----------
    runs : DataFrame
        Columns ``num_params``, ``loss`` and ``flops``; ``num_tokens`` gives
        D*. Rows with an ``exclude_reason`` are left out; repeats of a size (N within 1 %) are
        averaged.
    method : {"parabola", "akima"}
        How a budget's minimum is found.
    noise : float, optional
        Relative standard deviation of the loss; estimated from repeats of a size, else (for
        ``parabola``) from the residuals, else ``NOISE``.
    draws, seed : int
        Re-drawings of the noise, and their seed.

    Raises
    ------
    ValueError
        If a column is missing, or the noise is negative or not a number.
    NoExponentError
        If fewer than two budgets have an interior minimum.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> c, s = np.meshgrid([1e18, 1e19, 1e20], [0.25, 0.5, 1.0, 2.0, 4.0], indexing="ij")
    >>> n = 0.1 * np.sqrt(c) * s
    >>> loss = 2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.34
    >>> runs = pd.DataFrame({"flops": c.ravel(), "num_params": n.ravel(), "loss": loss.ravel()})
    >>> round(isoflop(runs).a, 3)
    0.5
    """
    if method not in ("parabola", "akima"):
        raise ValueError(f"method {method!r} is not one of parabola, akima")
    if noise is not None and not 0 <= noise < 1:
        raise ValueError(
            f"noise {noise:g} is no relative error from 0 to 1: leave it out to have it estimated"
        )
    budgets = list(budgets_of(runs))
    if noise is None:
        noise = _noise(budgets, method)
    rng = np.random.default_rng(seed)
    minima = tuple(_minimum(budget, method, noise, draws, rng) for budget in budgets)
    good = [m for m in minima if m.status == "ok"]
    if len(good) < 2:
        how = Counter(m.status for m in minima)
        why = "; ".join(f"{number} {status}" for status, number in how.most_common())
        remedy = "run more budgets" if set(how) == {"ok"} else "widen the range of sizes"
        raise NoExponentError(
            f"{len(good)} of {len(minima)} budgets have an interior minimum, an exponent needs 2 "
            f"({why}): {remedy}",
            minima,
        )
    x = np.log([m.flops for m in good])
    y = np.log([m.num_params for m in good])
    z = np.log([m.num_tokens for m in good])
    weight = 1 / np.array([m.log_se for m in good]) ** 2
    slope, level = _line(x, np.stack([y, z], axis=1), weight[:, None])
    sampled = np.stack([m.draws for m in good])
    # D*(N*) at a budget is read off the runs as a line in logs: its slope there is dlnD/dlnN.
    tokens = np.stack(
        [m.draws * g + h for m, (g, h) in zip(good, _slopes(budgets, minima), strict=True)]
    )
    seen = np.where(np.isfinite(sampled), weight[:, None], 0.0)
    pair = [_line(x, np.nan_to_num(v), seen)[0] for v in (sampled, tokens)]
    kept = (seen > 0).sum(axis=0) >= 2
    return IsoFlop(
        minima=minima,
        a=float(slope[0]),
        b=float(slope[1]),
        log_k=float(level[0]),
        log_m=float(level[1]),
        draws=np.stack(pair, axis=1)[kept],
        noise=float(noise),
        method=method,
    )


def _noise(budgets: list[Budget], method: Method) -> float:
    """Pooled relative noise: between repeats, else about the parabolas, else the default."""
    squares, freedom = np.sum([b.spread for b in budgets], axis=0)
    if freedom >= 3:
        return float(np.sqrt(squares / freedom))
    if method == "akima":
        return NOISE  # an interpolant leaves no residuals, and parabolas misfit wide sweeps
    squares, freedom = 0.0, 0.0
    for b in budgets:
        if len(b.log_n) > 3:
            left = b.log_loss - np.polyval(np.polyfit(b.log_n, b.log_loss, 2), b.log_n)
            squares, freedom = squares + float(left @ left), freedom + len(left) - 3
    return max(float(np.sqrt(squares / freedom)), 1e-6) if freedom else NOISE


def _minimum(
    budget: Budget, method: Method, noise: float, draws: int, rng: np.random.Generator
) -> Minimum:
    x, k = budget.log_n, len(budget.log_n)
    none = np.full(draws, np.nan)
    needed = 3 if method == "parabola" else 5
    if budget.span > _SPAN:
        status = f"no one budget: FLOPs differ {budget.span:.2g}-fold"
        return Minimum(budget.flops, np.nan, np.nan, np.nan, status, k, np.nan, none)
    if k < needed:
        status = f"too few sizes ({method} needs {needed})"
        return Minimum(budget.flops, np.nan, np.nan, np.nan, status, k, np.nan, none, too_few=True)
    error = noise * rng.standard_normal((k, draws)) / np.sqrt(budget.repeats)[:, None]
    losses = budget.log_loss[:, None] + np.concatenate([np.zeros((k, 1)), error], axis=1)
    best, depth, convex = (parabola if method == "parabola" else akima)(x, losses)
    inside = convex & (best > x[0]) & (best < x[-1])
    sampled = np.where(inside, best, np.nan)[1:]
    share = float(np.mean(np.isfinite(sampled))) if draws else 1.0
    status = "ok"
    if not convex[0]:
        status = "not convex"
    elif not inside[0]:
        status = "at the edge"
    elif share < 0.5 or _dips(float(depth[0]), np.exp(budget.log_loss)):
        status = "unstable"
    if status != "ok":
        return Minimum(budget.flops, np.nan, np.nan, np.nan, status, k, np.nan, sampled)
    at, se = float(best[0]), float(np.nanstd(sampled)) if draws else 1.0
    if method == "akima":
        at = float(np.nanmedian(sampled)) if draws else at
        se = max(se, _SE_FLOOR * float(x[-1] - x[0]) / (k - 1))
    g, h = budget.tokens
    return Minimum(
        flops=budget.flops,
        num_params=float(np.exp(at)),
        num_tokens=float(np.exp(g * at + h)),
        loss=float(depth[0]),
        status=status,
        n_sizes=k,
        log_se=max(se, 1e-9) / share,
        draws=sampled,
    )


def _dips(depth: float, losses: Array) -> bool:
    """Whether a minimum lies below all losses by more than half their range.

    Of a parabola at evenly spaced ln N it is an eighth of the range at most.
    """
    return bool(depth < losses.min() - 0.5 * np.ptp(losses))


def _line(x: Array, y: Array, weight: Array) -> tuple[Array, Array]:
    """Slopes and intercepts of weighted least-squares lines, one per column of ``y``."""
    weight = np.broadcast_to(weight, y.shape)
    total = weight.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    mx, my = (weight * x[:, None]).sum(axis=0) / safe, (weight * y).sum(axis=0) / safe
    dx = x[:, None] - mx
    spread = (weight * dx**2).sum(axis=0)
    slope = (weight * dx * (y - my)).sum(axis=0) / np.where(spread > 0, spread, np.nan)
    return slope, my - slope * mx


def _slopes(budgets: list[Budget], minima: tuple[Minimum, ...]) -> list[tuple[float, float]]:
    return [b.tokens for b, m in zip(budgets, minima, strict=True) if m.status == "ok"]


def _interval(values: Array, level: float) -> tuple[float, float]:
    low, high = interval(values[np.isfinite(values)], level)
    return float(low), float(high)
