"""Approach 2: the best size at each compute budget, then N* = k C^a through the budgets.

Three ways lead from the runs of a budget (:mod:`analysis.compute.approach2_budgets`) to its
minimum: ``parabola``, ``akima`` and ``powers`` (:mod:`analysis.compute.approach2_methods`).
Whatever the way, intervals are of the true N*: what the losses allow
(:mod:`analysis.compute.approach2_shape`), widened to hold the method's own estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.compute.approach2_budgets import Budget, budgets_of
from analysis.compute.approach2_methods import METHODS, Method
from analysis.compute.approach2_minimum import SMOOTHING, Minimum, held, minimum, no_minimum
from analysis.compute.approach2_shape import Profile, freedom, spread
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ENOUGH = 3
"""Minima that an exponent needs: a line through two is met by any two."""


class NoExponentError(NoAnswerError):
    """Fewer than two budgets have an interior minimum; ``minima`` are what there is."""

    def __init__(self, message: str, minima: tuple[Minimum, ...]) -> None:
        super().__init__(message)
        self.minima = minima


@dataclass(frozen=True)
class Line:
    """A power law through the minima, ln y = level + slope ln C, with draws of both.

    Attributes
    ----------
    slope, level : float
        By least squares weighted with 1 / ``log_se`` ^2 of the minima.
    slopes, levels : arrays ``(n_draws,)``
        Of the lines through the draws of the minima.
    """

    slope: float
    level: float
    slopes: Array
    levels: Array

    def at(self, flops: Any) -> Array:
        """y at ``flops``, of its shape."""
        return np.asarray(np.exp(self.level + self.slope * np.log(flops)))

    def slope_ci(self, level: float = 0.9) -> tuple[float, float]:
        """Interval of the slope: percentiles of the draws, widened to hold the estimate."""
        return held(self.slopes, self.slope, level)

    def ci_at(self, flops: float, level: float = 0.9) -> tuple[float, float]:
        """Interval of y at ``flops`` if the power law is true: no forecast."""
        x = float(np.log(flops))
        low, high = held(self.levels + self.slopes * x, self.level + self.slope * x, level)
        return float(np.exp(low)), float(np.exp(high))


@dataclass(frozen=True)
class IsoFlop:
    """N* = k C^a and D* = m C^b through the minima of the budgets.

    Attributes
    ----------
    minima : tuple of Minimum
        One per budget, by ``flops``; all of them, whatever their status.
    params, tokens : Line
        The two lines; NaN where fewer than ``ENOUGH`` budgets have a minimum, unless the exponent
        is given (``fixed``).
    noise : float
        Relative noise of the loss, estimated or as given; NaN where the runs do not tell it.
    method : {"parabola", "akima", "powers"}
    status : str
        ``ok``, or why there is no exponent or no interval, or that the exponent was given.
    """

    minima: tuple[Minimum, ...]
    params: Line
    tokens: Line
    noise: float
    method: Method
    status: str

    @property
    def a(self) -> float:
        """The exponent of N*."""
        return self.params.slope

    @property
    def b(self) -> float:
        """The exponent of D*."""
        return self.tokens.slope

    @property
    def draws(self) -> Array:
        """Draws of (a, b), ``(n_draws, 2)``."""
        return np.stack([self.params.slopes, self.tokens.slopes], axis=1)

    def ci(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Intervals of ``a`` and ``b``, NaN where they are not known."""
        return {"a": self.params.slope_ci(level), "b": self.tokens.slope_ci(level)}

    def num_params(self, flops: Any) -> Array:
        """N*(C) = k C^a, of the shape of ``flops``."""
        return self.params.at(flops)

    def fixed(self, exponent: float) -> IsoFlop:
        """The same minima with a = ``exponent`` and b = 1 - a: how much hangs on the exponent.

        Raises
        ------
        ValueError
            If ``exponent`` is not between 0 and 1.
        """
        if not 0 < exponent < 1:
            raise ValueError(f"exponent {exponent:g} is not between 0 and 1: 0.5 grows N* as D*")
        params, tokens = _lines(_good(self.minima), exponent)
        return replace(
            self, params=params, tokens=tokens, status=f"a = {exponent:g} is given, not found"
        )

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
            "status": self.status,
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
    method : {"parabola", "akima", "powers"}
        How a budget's minimum is found.
    noise : float, optional
        Relative standard deviation of the loss; else it is estimated from repeats of a size and
        from what a sum of two powers at each budget leaves (it needs four sizes at some budget).
    draws, seed : int
        Draws of what the losses allow, and their seed.

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
    >>> n = 0.4 * np.sqrt(c) * s
    >>> loss = 2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.34
    >>> runs = pd.DataFrame({"flops": c.ravel(), "num_params": n.ravel(), "loss": loss.ravel()})
    >>> round(isoflop(runs).a, 3)
    0.5
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    if noise is not None and not 0 <= noise < 1:
        raise ValueError(
            f"noise {noise:g} is no relative error from 0 to 1: leave it out to have it estimated"
        )
    rng = np.random.default_rng(seed)
    minima, noise = _minima(budgets_of(runs), method, noise, draws, rng)
    good = _good(minima)
    if len(good) < 2:
        how = Counter(m.status for m in minima)
        why = "; ".join(f"{number} {status}" for status, number in how.most_common())
        remedy = "run more budgets" if set(how) == {"ok"} else "widen the range of sizes"
        raise NoExponentError(
            f"{len(good)} of {len(minima)} budgets have an interior minimum, an exponent needs "
            f"{ENOUGH} ({why}): {remedy}",
            minima,
        )
    if len(good) < ENOUGH:
        none = Line(np.nan, np.nan, np.empty(0), np.empty(0))
        status = f"no exponent: {len(good)} budgets have a minimum, and it needs {ENOUGH}"
        return IsoFlop(minima, none, none, noise, method, status)
    status = "ok"
    if not np.isfinite(noise):
        status = "no intervals: three sizes a budget without repeats do not tell the noise"
    return IsoFlop(minima, *_lines(good), noise, method, status)


def _minima(
    budgets: Sequence[Budget],
    method: Method,
    noise: float | None,
    draws: int,
    rng: np.random.Generator,
) -> tuple[tuple[Minimum, ...], float]:
    """The minimum of each budget, and the noise: NaN where the runs do not tell it."""
    found = [no_minimum(budget, method) for budget in budgets]
    able = [budget for budget, none in zip(budgets, found, strict=True) if none is None]
    if not able:
        return tuple(m for m in found if m is not None), float("nan")
    told = noise is not None or freedom(able) > 0
    # Where nothing tells the noise, curves still have a likeliest one: only draws have no scale.
    seen = spread(able, noise if told else 1.0, draws if told else 0, rng)
    smoothing = SMOOTHING if noise is None else noise
    known = iter(
        minimum(budget, method, best, log_n, profile, smoothing, rng)
        for budget, best, log_n, profile in zip(
            able, seen.best, seen.log_n, seen.profiles, strict=True
        )
    )
    minima = [next(known) if none is None else none for none in found]
    return tuple(minima), seen.noise if told else float("nan")


def _good(minima: Sequence[Minimum]) -> list[Minimum]:
    return [m for m in minima if m.status == "ok"]


def _lines(good: Sequence[Minimum], exponent: float | None = None) -> tuple[Line, Line]:
    """N* and D* against C through the minima, with the slopes ``exponent`` and 1 - it if given."""
    x = np.log([m.flops for m in good])
    se = np.array([m.log_se for m in good])
    weight = 1 / np.where(np.isfinite(se), se, 1.0) ** 2
    drawn = np.stack([m.draws for m in good])
    seen = np.where(np.isfinite(drawn), weight[:, None], 0.0)
    kept = (seen > 0).sum(axis=0) >= 2
    # D*(N*) at a budget is read off the runs as a line in logs: its slope there is dlnD/dlnN.
    slope, level = (np.array(v)[:, None] for v in zip(*(m.tokens for m in good), strict=True))
    profiles = [m.profile for m in good if m.profile is not None]
    curves, by_noise = (
        np.stack(v) for v in zip(*((p.curves, p.by_noise) for p in profiles), strict=True)
    )
    values = np.log([[m.num_params, m.num_tokens] for m in good]).T
    lines = []
    for value, draws, given, reached, moved in zip(
        values,
        (drawn, drawn * slope + level),
        (None, None) if exponent is None else (exponent, 1 - exponent),
        (curves, curves * slope + level),
        (by_noise, by_noise * slope),
        strict=True,
    ):
        (at,), (start,) = _line(x, value[:, None], weight[:, None], given)
        slopes, levels = _line(x, np.nan_to_num(draws), seen, given)
        # Minima that stand off the line by more than their errors are no power law: the draws
        # spread by Birge's ratio then.
        off = float(weight @ (value - start - at * x) ** 2) / max(1, len(good) - 2)
        factor = max(1.0, off**0.5)
        slopes, levels = slopes[kept], levels[kept]
        every = (_line(x, y, weight[:, None], given)[0] for y in (reached, moved))
        below, above = Profile(next(every), profiles[0].unused, next(every)).wider(slopes)
        sides = np.where(slopes < _median(slopes), factor * below, factor * above)
        slopes, levels = (_median(v) + sides * (v - _median(v)) for v in (slopes, levels))
        lines.append(Line(float(at), float(start), slopes, levels))
    return lines[0], lines[1]


def _median(draws: Array) -> float:
    return float(np.median(draws)) if len(draws) else float("nan")


def _line(x: Array, y: Array, weight: Array, slope: float | None) -> tuple[Array, Array]:
    """Slopes and intercepts of weighted least-squares lines, one per column of ``y``."""
    weight = np.broadcast_to(weight, y.shape)
    total = weight.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    mx, my = (weight * x[:, None]).sum(axis=0) / safe, (weight * y).sum(axis=0) / safe
    dx = x[:, None] - mx
    across = (weight * dx**2).sum(axis=0)
    if slope is None:
        slopes = (weight * dx * (y - my)).sum(axis=0) / np.where(across > 0, across, np.nan)
    else:
        slopes = np.full(y.shape[1], slope)
    return slopes, my - slopes * mx
