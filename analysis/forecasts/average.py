"""``forecast``: a law, or the average of laws that backtests inside the runs call for.

No law of learning curves is right everywhere, and choosing the one that looked best is worse
than a plain average: rigid laws err to one side, flexible ones to the other. ``auto`` fits each
candidate with weak priors (``regularised``) to the runs below several cut-offs and weighs the
candidates by how well each predicted the runs beyond.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits import Estimand, fit, observe
from analysis.forecasts.cutoffs import Cutoff, cutoffs, log_size
from analysis.forecasts.forecast import Forecast, spread
from analysis.forecasts.regularised import regularised_fits
from analysis.laws import LAWS, Array, Law, law_for
from scaling.base import MAX_EPOCHS, NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

ONE_VARIABLE = ("power_floor", "m3", "m4", "bnsl1")
PARAMS_AND_TOKENS = ("kaplan", "chinchilla", "chinchilla_symmetric")
REPEATS = ("repeated_data",)
RUNS_A_PARAMETER = 2
"""Half of the runs are to predict the others by, as many as a law of repeats has parameters."""

RECENCY = 3.0
"""Runs count e times less for every e^3 in each input that they lie below the largest."""

SHARPNESS, FADE = 2.0, 0.8
"""Weights are (mean square error)^-SHARPNESS; each further cut-off counts FADE times the last."""

STEP, DEPTH, WINDOW = 0.5, 6, 1.1
"""Inner cut-offs: octaves between them, their number, octaves predicted (one, with slack)."""


def forecast(
    runs: pd.DataFrame,
    law: str | Law = "auto",
    *,
    x_col: str | None = None,
    y_col: str = "loss",
    seed: int = 0,
) -> Forecast:
    """Fit ``law`` to all ``runs`` and to those below inner cut-offs, to predict beyond them.

    Parameters
    ----------
    runs : DataFrame
        One row per run; what cannot be used is listed in ``excluded``.
    law : str or Law
        ``"auto"``, or a law as ``analysis.fit`` takes it; that is then fitted as ``fit`` does by
        default.
    x_col : str, optional
        The column that laws of one variable take. Without it ``auto`` averages laws in
        ``num_params`` and ``num_tokens``, or takes that of repeated data where runs go over their
        data (``num_unique_tokens``) more than ``MAX_EPOCHS`` times and are enough to tell.
    y_col : str
        What is predicted; positive.
    seed : int
        Of the random starts of ``fit``.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        If a column is missing, or the usable rows are too few.

    Notes
    -----
    Weights by the inverse of recent mean square errors: Bates and Granger 1969, *The combination
    of forecasts*, without the covariances, which few cut-offs cannot tell.
    """
    laws = candidates(runs, x_col) if law == "auto" else (law_for(law, runs),)
    estimand = Estimand(x_col=x_col, y_col=y_col)
    x_cols = estimand.x_cols(laws[0])
    smallest = min(laws, key=lambda each: len(each.parameters))
    seen = observe(smallest, runs, replace(estimand, space="log"))
    columns = dict(zip(x_cols, seen.inputs, strict=True))
    size, n_inputs = log_size(columns)
    laws = tuple(each for each in laws if len(each.parameters) < len(size)) or (smallest,)
    cuts = cutoffs(size, n_inputs, step=STEP, depth=DEPTH, window=WINDOW)
    if law != "auto":
        cuts = [cut for cut in cuts if cut.seen.sum() > len(smallest.parameters)]
    everything = np.ones(len(size), dtype=bool)
    masks = np.array([everything, *(cut.seen for cut in cuts)])
    if law == "auto":
        params = _regularised(laws, seen.inputs, seen.observed, size / n_inputs, masks)
    else:
        params = [_plain(laws[0], runs, seen.rows, masks, estimand, seed)]
    target = np.log(seen.observed)
    with np.errstate(all="ignore"):
        logs = [np.log(e.predict(p, *seen.inputs)) for e, p in zip(laws, params, strict=True)]
    members = np.array(logs)  # (laws, 1 + cuts, runs)
    sound = np.isfinite(members).all(axis=(1, 2))
    if not sound.any():
        raise NoAnswerError(f"no law predicts {y_col} at all {len(size)} runs; look at the values")
    members, laws = members[sound], tuple(e for e, ok in zip(laws, sound, strict=True) if ok)
    params = [p for p, ok in zip(params, sound, strict=True) if ok]
    errors = [members[:, 1 + i][:, cut.ahead] - target[cut.ahead] for i, cut in enumerate(cuts)]
    weights = weigh(errors, len(laws))
    n_params = float(weights @ [len(each.parameters) for each in laws])
    noise = [
        _noise((weights @ members[:, i] - target)[mask], n_params) for i, mask in enumerate(masks)
    ]
    scores: list[Array] = []
    backtests: list[dict[str, Any]] = []
    for i, (cut, error) in enumerate(zip(cuts, errors, strict=True)):
        distance = (size[cut.ahead] - cut.at) / n_inputs
        scale = spread(
            members[:, 1 + i][:, cut.ahead],
            weights @ members[:, 1 + i][:, cut.ahead],
            noise[1 + i],
            distance,
        )
        miss = weights @ error
        scores.append(np.abs(miss) / scale)
        backtests.append(_record(cut, miss))
    scores = scores or [np.zeros(1)]
    return Forecast(
        law=law if isinstance(law, str) else law.name,
        laws=laws,
        params=tuple(p[0] for p in params),
        weights=weights,
        x_cols=tuple(x_cols),
        y_col=y_col,
        n_runs=len(size),
        noise=noise[0],
        end=float(size.max()),
        n_inputs=n_inputs,
        scores=np.concatenate(scores),
        score_weights=np.concatenate([np.full(len(each), 1 / len(each)) for each in scores]),
        backtests=tuple(backtests),
        excluded=seen.excluded,
    )


def weigh(errors: list[Array], n_laws: int) -> Array:
    """Weights ``(m,)`` that sum to 1, in proportion to mean square error ^ -SHARPNESS.

    ``errors`` are errors of log loss ``(m, n)``, one array a cut-off, the largest cut-off first.
    """
    if not errors:
        return np.full(n_laws, 1 / n_laws)
    squares = [np.mean(np.clip(error, -0.5, 0.5) ** 2, axis=1) for error in errors]
    mean = np.average(squares, axis=0, weights=FADE ** np.arange(len(errors), dtype=float))
    # a law that is exact to 1e-4 has no claim over one that is exact to 1e-5
    weights = (mean + 1e-8) ** -SHARPNESS
    return np.asarray(weights / weights.sum())


def candidates(runs: pd.DataFrame, x_col: str | None = None) -> tuple[Law, ...]:
    """The laws that ``auto`` averages for these runs; all take the same inputs."""
    if x_col is not None:
        return tuple(LAWS[name] for name in ONE_VARIABLE)
    missing = [name for name in ("num_params", "num_tokens") if name not in runs]
    if missing:
        raise ValueError(
            f"auto needs columns num_params and num_tokens (no {missing[0]}), or one variable: "
            "name it with x_col (--x-col)"
        )
    if "num_unique_tokens" in runs:
        passes = runs["num_tokens"] / runs["num_unique_tokens"]
        laws = tuple(LAWS[name] for name in REPEATS)
        fewest = RUNS_A_PARAMETER * max(len(law.parameters) for law in laws)
        if (passes > MAX_EPOCHS).any() and passes.notna().sum() >= fewest:
            return laws
    return tuple(LAWS[name] for name in PARAMS_AND_TOKENS)


def _regularised(
    laws: tuple[Law, ...],
    inputs: tuple[Array, ...],
    observed: Array,
    place: Array,
    masks: Array,
) -> list[Array]:
    """Parameters ``(cuts, p)`` of each law, fitted to each of ``masks`` with recency weights."""
    ends = np.array([place[mask].max() for mask in masks])
    weights = np.where(masks, np.exp((place - ends[:, None]) / RECENCY), 0.0)
    weights *= (masks.sum(axis=1) / weights.sum(axis=1))[:, None]
    return [regularised_fits(law, inputs, observed, weights)[0] for law in laws]


def _plain(
    law: Law,
    runs: pd.DataFrame,
    rows: Any,
    masks: Array,
    estimand: Estimand,
    seed: int,
) -> Array:
    """Parameters ``(cuts, p)`` as ``fit`` gives them."""
    parts = (runs.iloc[rows[mask]] for mask in masks)
    return np.array([fit(law, part, estimand, starts=8, seed=seed).vector for part in parts])


def _noise(residual: Array, n_params: float) -> float:
    """Standard deviation of residuals, those beyond three median deviations cut back to there."""
    size = np.abs(residual)
    cut = np.minimum(size, 3 * 1.4826 * np.median(size))
    free = max(len(size) - n_params, 2.0, len(size) / 3)
    return float(max(np.sqrt(np.sum(cut**2) / free), 1e-6))


def _record(cut: Cutoff, miss: Array) -> dict[str, Any]:
    return {
        "size": float(np.exp(cut.at)),
        "n_train": int(cut.seen.sum()),
        "n_test": len(miss),
        "rmse_log": float(np.sqrt(np.mean(miss**2))),
        "bias_log": float(np.mean(miss)),
    }
