"""``forecast``: laws, what they leave out and noise, as far as backtests inside the runs say.

Two forecasts are joined (``analysis.forecasts.forecast.Forecast``): an average of laws, each
weighed by how well it predicted larger runs from smaller ones, and laws with a random
discrepancy. Each counts by its own backtests, and both together are stretched until the
backtests' errors are as large as foretold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from analysis.fits import Estimand, Fit, untold
from analysis.forecasts.average import (
    SHARPNESS,
    Average,
    errors_ahead,
    noise_of,
    predictions,
    weigh,
)
from analysis.forecasts.bounds import whole_of
from analysis.forecasts.candidates import candidates, columns_of
from analysis.forecasts.cutoffs import Cutoff
from analysis.forecasts.forecast import FREEDOM, WORLDS, Forecast, moments
from analysis.forecasts.members import Draws, members, shares
from analysis.forecasts.regularised import regularised_fits
from analysis.forecasts.rows import FEWEST, Rows
from analysis.laws import Array, Law, law_for
from analysis.tables import is_score
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

RECENCY = 3.0
"""Runs count e times less for every e^3 in each input that they lie below the largest."""

BELIEF, BELIEVED = 2.0, 0.7
"""How many cut-offs the square of ``scale`` before any backtest counts for, and what it is, where
the inputs are N and D."""

SOFTER = 1.0
"""``SHARPNESS`` by which two forecasts are joined where the inputs are not N and D."""

FARTHEST = 16.0
"""Square of an error, in standard deviations, beyond which it counts no more."""

INNER_DRAWS = 300

UNTESTED = "the runs are too few or too alike to test a prediction on themselves"


def forecast(
    runs: pd.DataFrame,
    law: str | Law = "auto",
    *,
    x_col: str | None = None,
    y_col: str = "loss",
    estimand: Estimand | None = None,
    within_runs: bool = False,
    seed: int = 0,
) -> Forecast:
    """What ``law`` expects beyond ``runs``, with intervals that backtests inside them bear out.

    Parameters
    ----------
    runs : DataFrame
        One row per run; what cannot be used is listed in ``excluded``.
    law : str or Law
        ``"auto"``, or a law as ``analysis.fit`` takes it; that is then fitted as ``fit`` does with
        ``estimand``.
    x_col : str, optional
        The column that laws of one variable take; for ``auto`` several, with commas between
        them. Without it ``auto`` averages laws in
        ``num_params`` and ``num_tokens``, or takes that of what repeats cost where runs go over
        their data (``num_unique_tokens``) more than ``MAX_EPOCHS`` times and are enough to tell.
    y_col : str
        What is predicted.
    estimand : Estimand, optional
        How a given law is fitted; ``auto`` takes its weights alone.
    within_runs : bool
        Whether the rows of one run (``analysis.tables.structure``) may stand on both sides of a
        cut-off. Otherwise a run is fitted whole or predicted.
    seed : int
        Of the draws and of the random starts of ``fit``.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        If a column is missing, or the usable rows are too few.
    NoAnswerError
        If no law has a value at all runs.
    """
    auto = isinstance(law, str) and law == "auto"
    x_cols = columns_of(x_col)
    laws = candidates(runs, x_cols, y_col) if auto else (law_for(law, runs),)
    smallest = min(laws, key=lambda each: len(each.parameters))
    one = x_cols[0] if len(x_cols) == 1 else None
    asked = replace(estimand or Estimand(), x_col=one, y_col=y_col)
    asked = replace(asked, space=smallest.space) if auto else asked
    rows = Rows.of(smallest, runs, asked, within_runs, seed)
    return _blend("auto" if auto else smallest.name, laws, rows, auto)


def forecast_of(fitted: Fit, runs: pd.DataFrame | None = None) -> Forecast:
    """What a fitted law expects beyond its rows, which its fit and its posterior from them say.

    ``runs`` is the table that was fitted: it tells which rows are of one run.
    """
    rows = Rows.of_fit(fitted, runs)
    found = _blend(fitted.law.name, (fitted.law,), rows, auto=False, vector=fitted.vector)
    doubt = "" if fitted.identified else fitted.status
    return replace(found, formula=fitted.formula(), doubt=doubt)


def out_of_sample(fitted: Fit, runs: pd.DataFrame | None = None) -> tuple[dict[str, Any], ...]:
    """How far a fitted law, fitted below each of some cut-offs, missed the runs next above.

    Returns
    -------
    tuple of dict
        As ``Forecast.backtests``, the largest cut-off first; none if too few runs are below each.
    """
    rows = Rows.of_fit(fitted, runs)
    near, _ = rows.cuts(_fewest(fitted.law))
    masks = [np.ones(len(rows.observed), dtype=bool), *(cut.seen for cut in near)]
    params = _fitted(fitted.law, rows, masks, fitted.vector)
    each = predictions((fitted.law,), [params], rows.inputs, rows.space)
    errors = errors_ahead(each, rows.target, near)
    return tuple(
        _record(cut, error[0], rows.space) for cut, error in zip(near, errors, strict=True)
    )


def _fewest(law: Law) -> int:
    """The rows, of each group where it has groups, that a law passes through all."""
    return len((law if law.groups is None else law.groups.law).parameters)


def _blend(
    name: str, laws: tuple[Law, ...], rows: Rows, auto: bool, vector: Array | None = None
) -> Forecast:
    """The forecast by ``laws``; ``vector`` are the parameters of a law that is fitted already."""
    smallest = min(laws, key=lambda each: len(each.parameters))
    laws = tuple(law for law in laws if len(law.parameters) < len(rows.observed)) or (smallest,)
    least = -1 if auto else _fewest(smallest)  # of auto a group may be unseen below a cut
    near, far = rows.cuts(least)
    everything = np.ones(len(rows.observed), dtype=bool)
    masks = [everything, *(cut.seen for cut in (*near, *far))]
    found = _regularised(laws, rows, masks) if auto else [_fitted(laws[0], rows, masks, vector)]
    each = predictions(laws, found, rows.inputs, rows.space)
    sound = np.isfinite(each).all(axis=(1, 2))
    if not sound.any():
        what = f"{rows.y_col} at all {len(everything)} runs"
        raise NoAnswerError(f"no law predicts {what}; look at the values")
    kept = np.flatnonzero(sound).tolist()
    laws, found = tuple(laws[i] for i in kept), [found[i] for i in kept]
    errors = errors_ahead(each[sound], rows.target, near)
    weights = weigh(errors, len(laws))
    averages = [
        _average(laws, [params[i] for params in found], weights, rows, mask)
        for i, mask in enumerate(masks)
    ]
    whole, inner = averages[0], averages[1 + len(near) :]
    draws: tuple[Draws, ...] = ()
    # of few runs the laws' disagreement tells what is unsure; one law has nobody to disagree with
    if rows.in_plane or (rows.several and len(laws) == 1):
        share, scale = _joined(laws, rows, far, inner)
        draws = _draws(laws, rows, everything, whole.params, WORLDS)
    else:
        share, scale = 1.0, _stretched(rows, far, inner)
    pairs = zip(near, errors, strict=True)
    return Forecast(
        name, whole, draws, share, scale, rows.space, rows.x_cols, rows.y_col, len(everything),
        tuple(_record(cut, weights @ error, rows.space) for cut, error in pairs),
        excluded=rows.excluded, seed=rows.seed,
        doubt=_doubt(smallest, rows, tested=bool(far)),
        whole=whole_of(rows.observed, rows.y_col) if is_score(rows.y_col) else None,
    )  # fmt: skip


def _doubt(law: Law, rows: Rows, tested: bool) -> str:
    """What the choice of runs leaves untold of loss in N and D, and of any forecast."""
    doubts = untold(law, rows.inputs) if rows.of_sizes else []
    return "; ".join(doubts if tested else [*doubts, UNTESTED])


def _average(
    laws: tuple[Law, ...],
    params: list[Array],
    weights: Array,
    rows: Rows,
    seen: NDArray[np.bool_],
) -> Average:
    """The average of laws that were fitted to the rows ``seen``."""
    left = weights @ predictions(laws, params, rows.some(seen), rows.space) - rows.target[seen]
    noise = noise_of(left, float(weights @ [len(law.parameters) for law in laws]))
    end = float(rows.size[seen].max())
    return Average(
        laws, tuple(params), weights, max(noise, 1e-6), end, max(len(rows.by), 1), rows.x_cols,
        rows.by, rows.space,
    )  # fmt: skip


def _draws(
    laws: tuple[Law, ...],
    rows: Rows,
    seen: NDArray[np.bool_],
    params: tuple[Array, ...],
    count: int,
) -> tuple[Draws, ...]:
    """``count`` draws of the laws with a discrepancy, from some rows."""
    found = [
        member
        for law, vector in zip(laws, params, strict=True)
        for member in members(
            law, rows.some(seen), rows.observed[seen], rows.weights[seen], rows.space, vector,
            labels=None if rows.labels is None else rows.labels[seen],
        )
    ]  # fmt: skip
    if not found:
        raise NoAnswerError(f"no law has slopes at the {int(seen.sum())} runs; look at the values")
    rng = np.random.default_rng(rows.seed)
    counts = rng.multinomial(count, shares(found))
    return tuple(m.draw(int(k), rng) for m, k in zip(found, counts, strict=True) if k)


def _joined(
    laws: tuple[Law, ...], rows: Rows, cuts: list[Cutoff], inner: list[Average]
) -> tuple[float, float]:
    """``share`` of the average and ``scale`` of all, by what each foretold beyond the cuts."""
    errors, spreads = [], []
    for cut, average in zip(cuts, inner, strict=True):
        if cut.seen.sum() < FEWEST:
            continue
        inputs, target = rows.some(cut.ahead), rows.target[cut.ahead]
        draws = _draws(laws, rows, cut.seen, average.params, INNER_DRAWS)
        centre, _ = average.at(inputs)
        mean, deviation, scatter = moments(draws, inputs)
        if np.isfinite(centre).all() and np.isfinite(mean).all():
            errors.append(np.array([centre - target, mean - target]))
            spreads.append(np.hypot(deviation, scatter))
    share = float(weigh(errors, 2, SHARPNESS if rows.of_sizes else SOFTER)[0])
    squares = []
    for (first, second), spread in zip(errors, spreads, strict=True):
        away = (share * first + (1 - share) * second) / spread
        squares.append(float(np.mean(np.minimum(away**2, FARTHEST))))
    if rows.of_sizes:
        total = BELIEF * BELIEVED + sum(squares)
        return share, float(np.sqrt(total / (BELIEF + len(squares))))
    # runs may be asked for along any input, and nobody knows how laws in such inputs go on: the
    # worst cut-off counts, but parts of runs that no size tells apart are all alike
    worst = max(squares, default=1.0) if rows.by else float(np.mean(squares or [1.0]))
    return share, max(1.0, float(np.sqrt(worst)))


def _stretched(rows: Rows, cuts: list[Cutoff], inner: list[Average]) -> float:
    """How much wider than Student's t an average of laws erred, where it did, at the 90 % point.

    Inner cut-offs are few and overlap: they may widen an interval, not narrow it.
    """
    scores, shares_ = [], []
    for cut, average in zip(cuts, inner, strict=True):
        centre, spread = average.at(rows.some(cut.ahead))
        scores.append(np.abs(centre - rows.target[cut.ahead]) / spread)
        shares_.append(np.full(len(centre), 1 / len(centre)))
    if not scores:
        return 1.0
    every, share = np.concatenate(scores), np.concatenate(shares_)
    order = np.argsort(every)
    place = np.searchsorted(np.cumsum(share[order]), 0.9 * share.sum())
    quantile = float(every[order][min(int(place), len(every) - 1)])
    return max(1.0, quantile / float(stdtrit(FREEDOM, 0.95)))


def _regularised(laws: tuple[Law, ...], rows: Rows, masks: list[NDArray[np.bool_]]) -> list[Array]:
    """Parameters ``(masks, p)`` of each law, fitted to each of ``masks`` with recency weights."""
    place = rows.size / max(len(rows.by), 1)
    seen = np.array(masks)
    ends = np.array([place[mask].max() for mask in masks])
    weights = np.where(seen, rows.weights * np.exp((place - ends[:, None]) / RECENCY), 0.0)
    weights *= (seen.sum(axis=1) / weights.sum(axis=1))[:, None]
    return [
        regularised_fits(law, rows.inputs, rows.observed, weights, rows.space)[0] for law in laws
    ]


def _fitted(law: Law, rows: Rows, masks: list[NDArray[np.bool_]], vector: Array | None) -> Array:
    """Parameters ``(masks, p)`` as ``fit`` finds them; ``vector`` is known to be the first."""
    known: dict[bytes, Array] = {}
    if vector is not None:
        known[masks[0].tobytes()] = vector
    for mask in masks:
        if mask.tobytes() not in known:
            known[mask.tobytes()] = rows.fitted(law, mask)
    return np.array([known[mask.tobytes()] for mask in masks])


def _record(cut: Cutoff, miss: Array, space: str) -> dict[str, Any]:
    log = "_log" if space == "log" else ""
    return {
        "size": float(np.exp(cut.at)),
        "n_train": int(cut.seen.sum()),
        "n_test": len(miss),
        f"rmse{log}": float(np.sqrt(np.mean(miss**2))),
        f"bias{log}": float(np.mean(miss)),
    }
