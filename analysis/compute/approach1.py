"""Approach 1: the compute-efficient frontier as the lower envelope of learning curves.

Source: Hoffmann et al. 2022, section 3.1 (for each FLOP count, the run of lowest loss).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.intervals import interval
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

Array = NDArray[np.float64]
BUDGETS = 300
"""Budgets, equally spaced in ln C, at which the best run is sought (Hoffmann et al.: 1500)."""
EDGE = 0.2
"""Share of the range of ln N at either end where the best size may lie beyond the sizes.

Noise can move the best size of a budget there only inwards, so that budgets picked by their best
size alone have too small an exponent, by more than the interval of many runs.
"""
ENDED = 0.1
"""Share of budgets at which every size below the best has ended, from which the status says so."""


@dataclass(frozen=True)
class Envelope:
    """N* = k C^a and D* = m C^b through the best point of all learning curves at each budget.

    Attributes
    ----------
    flops, num_params, num_tokens, loss : arrays ``(n_budgets,)``
        C, N*, D* and L* at the budgets whose best size, by a line through all that are neither
        the smallest nor the largest, is ``EDGE`` of the range of sizes away from either.
    a, b, log_k, log_m : float
        Exponents and ln of the factors, by least squares of the logarithms.
    draws : array ``(k, 2)``
        (a, b) of runs drawn with replacement.
    n_sizes : int
        Distinct sizes on the frontier.
    status : str
        ``"ok"``, or what to be careful of.
    """

    flops: Array = field(repr=False)
    num_params: Array = field(repr=False)
    num_tokens: Array = field(repr=False)
    loss: Array = field(repr=False)
    a: float
    b: float
    log_k: float
    log_m: float
    draws: Array = field(repr=False)
    n_sizes: int
    status: str

    def ci(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile intervals of ``a`` and ``b``; NaN without draws."""
        low, high = interval(self.draws, level)
        return {name: (float(low[i]), float(high[i])) for i, name in enumerate("ab")}


def envelope(
    runs: pd.DataFrame, curves: pd.DataFrame, *, draws: int = 200, seed: int = 0
) -> Envelope:
    """Approach 1: at each budget the run of lowest loss, then N* ~ C^a and D* ~ C^b.

    Between its points a learning curve is a line in ln C and ln loss; beyond them it says
    nothing. Points before the end of a schedule are not final losses: with a learning rate that
    has not come down they lie above what a run of that length would reach, which favours
    neither small nor large models only if all schedules have one shape.

    Parameters
    ----------
    runs : DataFrame
        Run table: ``run_id``, ``num_params``, ``num_tokens``, ``flops``; rows with an
        ``exclude_reason`` are left out.
    curves : DataFrame
        ``run_id``, ``step`` (tokens), ``loss``.
    draws, seed : int
        Drawings of whole runs with replacement, each with its own envelope, and their seed.

    Raises
    ------
    NoAnswerError
        If fewer than two sizes are best at a budget well inside the range of sizes.
    """
    if "exclude_reason" in runs.columns:
        runs = runs[runs["exclude_reason"] == ""]
    points = curve_points(runs, curves)
    members = [part.sort_values("flops") for _, part in points.groupby("run_id") if len(part) > 1]
    if len(members) < 3:
        raise NoAnswerError(
            f"{len(members)} learning curves of two points or more; an envelope needs 3"
        )
    low, high = points["flops"].min(), points["flops"].max()
    log_c = np.linspace(np.log(low), np.log(high), BUDGETS)
    losses = np.stack([_along(log_c, part) for part in members])  # (runs, budgets)
    sizes = np.array([float(part["num_params"].iloc[0]) for part in members])
    cost = np.array([float((part["flops"] / part["num_tokens"]).iloc[0]) for part in members])
    best, inside = _frontier(losses, sizes)
    n_sizes = len(np.unique(sizes[best[inside]]))
    if n_sizes < 2:
        raise NoAnswerError(
            f"{n_sizes} of {len(np.unique(sizes))} sizes are best at some budget well inside their "
            f"range; an exponent needs 2: train more sizes, or for longer"
        )
    log_n = np.log(sizes[best])
    log_d = log_c - np.log(cost[best])
    (a, log_k), (b, log_m) = (np.polyfit(log_c[inside], y[inside], 1) for y in (log_n, log_d))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = np.unique(rng.integers(0, len(members), len(members)))
        at, kept = _frontier(losses[drawn], sizes[drawn])
        if len(np.unique(sizes[drawn][at[kept]])) < 2:
            continue
        x, chosen = log_c[kept], drawn[at[kept]]
        found.append(
            [np.polyfit(x, y, 1)[0] for y in (np.log(sizes[chosen]), x - np.log(cost[chosen]))]
        )
    words = []
    if n_sizes < 4:
        words.append(f"{n_sizes} sizes on the frontier")
    cut = float(_cut_short(losses, sizes, best)[inside].mean())
    if cut > ENDED:
        words.append(f"all smaller sizes have ended at {cut:.0%} of the budgets: train longer")
    if len(found) < draws:
        words.append(f"{draws - len(found)} of {draws} draws have no frontier")
    return Envelope(
        flops=np.exp(log_c[inside]),
        num_params=np.exp(log_n[inside]),
        num_tokens=np.exp(log_d[inside]),
        loss=np.exp(losses[best, np.arange(BUDGETS)][inside]),
        a=float(a),
        b=float(b),
        log_k=float(log_k),
        log_m=float(log_m),
        draws=np.array(found).reshape(-1, 2),
        n_sizes=n_sizes,
        status="; ".join(words) or "ok",
    )


def _along(log_c: Array, curve: pd.DataFrame) -> Array:
    """ln loss of one curve at ``log_c``; infinite outside it."""
    x, y = np.log(curve["flops"].to_numpy(float)), np.log(curve["loss"].to_numpy(float))
    return np.asarray(np.interp(log_c, x, y, left=np.inf, right=np.inf))


def _frontier(losses: Array, sizes: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Best run at each budget ``(budgets,)``, and whether its size is well inside, by a line."""
    best, x = losses.argmin(axis=0), np.log(sizes)
    seen = np.isfinite(losses.min(axis=0))
    low, high = x.min(), x.max()
    inner = seen & (x[best] > low) & (x[best] < high)
    if len(np.unique(x[best[inner]])) < 2:
        return best, inner
    at = np.arange(len(best))
    line = np.polyval(np.polyfit(at[inner], x[best[inner]], 1), at)
    edge = EDGE * (high - low)
    return best, seen & (line > low + edge) & (line < high - edge)


def _cut_short(losses: Array, sizes: Array, best: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Where all sizes below the best have ended ``(budgets,)``: one of them may be the better."""
    smaller = sizes[:, None] < sizes[best]
    return np.asarray(~(smaller & np.isfinite(losses)).any(axis=0))


def curve_points(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The points of learning curves with their run's size: one row per point.

    Adds ``num_params``, ``num_tokens`` (= ``step``) and ``flops`` (the run's FLOPs per token
    times ``step``) to ``curves``; points without a finite loss are left out.
    """
    sizes = runs.drop_duplicates("run_id").set_index("run_id")
    points = curves[np.isfinite(curves["loss"].astype(float)) & (curves["step"] > 0)].copy()
    points = points[points["run_id"].isin(sizes.index)]
    points["num_params"] = points["run_id"].map(sizes["num_params"])
    points["num_tokens"] = points["step"].astype(float)
    points["flops"] = points["num_tokens"] * points["run_id"].map(
        sizes["flops"] / sizes["num_tokens"]
    )
    return points


def lower_envelope(flops: ArrayLike, loss: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points that no other point beats in both ``flops`` and ``loss``.

    In order of ``flops``, their loss strictly falls. Arrays of shape ``(n_points,)``.

    >>> lower_envelope([1.0, 2.0, 2.0, 4.0], [3.0, 2.5, 2.0, 2.2]).tolist()
    [0, 2]
    """
    c, y = np.asarray(flops, dtype=float), np.asarray(loss, dtype=float)
    order: NDArray[np.intp] = np.lexsort((y, c))
    order = order[np.isfinite(c[order]) & np.isfinite(y[order])]
    before = np.concatenate([[np.inf], np.minimum.accumulate(y[order])[:-1]])
    return np.asarray(order[y[order] < before])
