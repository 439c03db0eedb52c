"""The best data mixture: the shares of least loss over one or several domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.fits import Fit
from analysis.intervals import interval
from analysis.laws import Array
from scaling.base import NoAnswerError

PURE = 1e-3
"""A share this near 0 or 1 is at the edge."""


@dataclass(frozen=True)
class Mixture:
    """The shares of least loss, and what they are expected to give.

    Attributes
    ----------
    shares : dict
        Column -> share; they add up to 1.
    shares_ci, loss_ci : dict, tuple or None
        Intervals over the fits' draws; None without draws.
    loss : float
        The weighted mean of the losses there.
    losses : dict
        Column of each loss -> its value there.
    best_run : float
        The least weighted mean loss that the laws give to a mixture that was run.
    status : str
        ``"ok"``, or what to be careful of: shares beyond those of the runs, or at 0 or 1.
    """

    shares: dict[str, float]
    shares_ci: dict[str, tuple[float, float]] | None
    loss: float
    loss_ci: tuple[float, float] | None
    losses: dict[str, float]
    best_run: float
    status: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def best_mixture(
    fits: Sequence[Fit],
    weights: Sequence[float] | None = None,
    *,
    num_params: float | None = None,
    num_tokens: float | None = None,
    level: float = 0.9,
) -> Mixture:
    """The shares of least weighted mean of the losses that ``fits`` are of.

    Parameters
    ----------
    fits : sequence of Fit
        Of a law of mixtures to the loss on each domain, all over the same shares.
    weights : sequence of float, optional
        What each domain counts; the same if not given.
    num_params, num_tokens : float, optional
        N and D, for laws that take them.
    level : float
        Of the intervals, which need fits with draws.

    Raises
    ------
    ValueError
        If the fits are over different shares, or a weight or size is missing or not positive.
    NoAnswerError
        If the laws have no least value over the shares.
    """
    shares = fits[0].law.shares
    if not shares or any(f.law.shares != shares for f in fits):
        raise ValueError(
            f"the best mixture needs laws of the same shares, such as mixture; these are "
            f"{', '.join(sorted({f.law.name for f in fits}))}"
        )
    w = np.ones(len(fits)) if weights is None else np.asarray(weights, dtype=float)
    if len(w) != len(fits) or not ((w >= 0).all() and w.sum() > 0):
        raise ValueError(f"{len(w)} weights for {len(fits)} losses: give one positive one for each")
    w = w / w.sum()
    sizes = {"num_params": num_params, "num_tokens": num_tokens}
    for name in fits[0].law.inputs:
        if name in sizes and not (sizes[name] or 0) > 0:
            raise ValueError(f"{fits[0].law.name} predicts from {name}: give it, as in -N 7e9")
    runs = np.stack([fits[0].inputs[fits[0].law.inputs.index(one)] for one in shares], axis=1)

    def loss(params: Sequence[Array], r: Array) -> Array:
        """Losses ``(fits, n)`` at shares ``(n, shares)``."""
        given = {one: r[:, j] for j, one in enumerate(shares)}
        given |= {k: np.full(len(r), v) for k, v in sizes.items() if v is not None}
        return np.stack(
            [
                f.law.predict(p, *(given[name] for name in f.law.inputs))
                for f, p in zip(fits, params, strict=True)
            ]
        )

    centre = [f.vector for f in fits]
    at_runs = w @ loss(centre, runs)
    starts = [
        runs[int(np.argmin(at_runs))],
        np.full(len(shares), 1 / len(shares)),
        *np.eye(len(shares)),
    ]
    best = _least(lambda r: w @ loss(centre, r), starts)
    found = loss(centre, best[None])[:, 0]
    shares_ci = loss_ci = None
    if all(f.draws is not None for f in fits):
        drawn = [d for f in fits if (d := f.draws) is not None]
        count = min(len(d) for d in drawn)
        each = [[d[i] for d in drawn] for i in range(count)]
        optima = np.array([_least(lambda r, p=p: w @ loss(p, r), [best]) for p in each])
        low, high = interval(optima, level)
        shares_ci = {one: (float(low[j]), float(high[j])) for j, one in enumerate(shares)}
        values = [float(w @ loss(p, best[None])[:, 0]) for p in each]
        ends = interval(np.array(values)[:, None], level)
        loss_ci = float(ends[0][0]), float(ends[1][0])
    return Mixture(
        shares=dict(zip(shares, best.tolist(), strict=True)),
        shares_ci=shares_ci,
        loss=float(w @ found),
        loss_ci=loss_ci,
        losses=dict(zip([f.y_col for f in fits], found.tolist(), strict=True)),
        best_run=float(at_runs.min()),
        status=_status(shares, best, runs),
    )


def _least(loss: Any, starts: Sequence[Array]) -> Array:
    """The shares ``(k,)`` of least loss on the simplex."""
    from scipy.optimize import LinearConstraint, minimize

    def value(r: Array, *_: Any) -> float:
        return float(loss(np.clip(r, 0.0, 1.0)[None])[0])

    best, least = None, np.inf
    for start in starts:
        found = minimize(
            value,
            start,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=LinearConstraint(np.ones(len(start)), 1.0, 1.0),
            tol=1e-10,
        )
        if np.isfinite(found.fun) and found.fun < least:
            best, least = np.clip(found.x, 0.0, 1.0), found.fun
    if best is None:
        raise NoAnswerError("the law has no finite loss at any mixture: fit it to more mixtures")
    return np.asarray(best / best.sum())


def _status(shares: Sequence[str], best: Array, runs: Array) -> str:
    """What to be careful of."""
    said = [
        f"{one} is {r:.3f}, beyond the runs' {low:.3f} to {high:.3f}"
        for one, r, low, high in zip(shares, best, runs.min(axis=0), runs.max(axis=0), strict=True)
        if r < low - PURE or r > high + PURE
    ]
    edge = [one for one, r in zip(shares, best, strict=True) if r < PURE or r > 1 - PURE]
    if edge:
        said.append(f"at the edge, where the law may say too much: {', '.join(edge)}")
    return "; ".join(said) or "ok"
