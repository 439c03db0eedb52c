"""Runs in progress that will not be the best of their size: by the median, or by a forecast.

Compared are runs of equal N and D that differ in how they are trained: of one size the best counts.
Of a search the best of all counts: there runs of equal D are compared, of whatever N.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from analysis.forecasts.blend import forecast
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

Rule = Literal["median", "forecast"]
RULES: tuple[str, ...] = get_args(Rule)
ALIKE = ("family", "data", "num_params", "num_tokens")
SEARCH = "strategy"  # the column of runs that a search chose
RUNG = "rung"  # of those that are cut by a strategy of its own
FEWEST_PEERS = 3  # that are done
FEWEST_POINTS = 6  # of a curve that is forecast
BEGUN = 0.2  # share of its tokens before which a run is not judged


@dataclass(frozen=True)
class Hopeless:
    """A run in progress that will not be the best of its size.

    Attributes
    ----------
    run_id, reason : str
    loss : float
        What it will have at least, or has had at best, by the rule.
    limit : float
        What it would have to come below.
    """

    run_id: str
    reason: str
    loss: float
    limit: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def hopeless(
    runs: pd.DataFrame, curves: pd.DataFrame, rule: Rule = "median", *, level: float = 0.9
) -> list[Hopeless]:
    """The runs in progress that will not be the best of their size.

    Parameters
    ----------
    runs : DataFrame
        A run table with ``run_id``, ``status``, ``num_params``, ``num_tokens``. Those with a
        ``strategy`` are a search's: all of one search and D are of a size.
    curves : DataFrame
        ``run_id``, ``step`` (tokens) and ``loss``.
    rule : {"median", "forecast"}
        ``median``: its best loss so far is above the median of the running averages that runs of
        its size which are done had by the same step (Golovin et al. 2017, Google Vizier, section
        3.2.1). ``forecast``: the laws of learning curves, averaged, expect it above the best final
        loss of its size even at the lower end of their interval. How far such a forecast is off is
        seen on the curves that are done, cut at the same step: that takes in the schedule, whose
        cooldown no law of a curve knows, and the lowest ratio of result to forecast counts.
    level : float
        Of the forecast's interval.

    Returns
    -------
    list of Hopeless
        In the table's order. None of a size with fewer than three runs done, nor before a fifth of
        a run, nor of a search that cuts by rungs itself.

    Raises
    ------
    ValueError
        For another rule, or a table without these columns.
    """
    if rule not in RULES:
        raise ValueError(f"rule {rule!r} is not known: choose one of {', '.join(RULES)}")
    if missing := [name for name in ("run_id", "status", *ALIKE[2:]) if name not in runs]:
        raise ValueError(f"no column {missing[0]} in the run table: give a sweep or a folder of it")
    by_run = {run_id: _points(curve) for run_id, curve in curves.groupby("run_id")}
    judge = _by_median if rule == "median" else _by_forecast
    found = []
    for one, peers in _in_progress(runs):
        curve = by_run.get(one["run_id"])
        done = {i: by_run[i] for i in peers if i in by_run}
        if curve is None or not len(curve) or len(done) < FEWEST_PEERS:
            continue
        if curve[-1, 0] >= BEGUN * one["num_tokens"]:
            verdict = judge(one, curve, list(done.values()), level)
            if verdict is not None:
                found.append(Hopeless(one["run_id"], *verdict))
    return found


def _in_progress(runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Each run that is not done, with the ids of those of its size that are."""
    keys = [name for name in ALIKE if name in runs]
    if SEARCH in runs:
        searched = runs[SEARCH].notna()
        runs = runs.assign(num_params=runs["num_params"].mask(searched, 0))
        keys += [name for name in ("sweep", SEARCH) if name in runs]
    for _, group in runs.groupby(keys, dropna=False, sort=False):
        done = group.loc[group["status"] == "done", "run_id"].tolist()
        open_runs = group[group["status"] == "running"]
        if RUNG in group:
            open_runs = open_runs[open_runs[RUNG].isna()]
        for row in open_runs.to_dict("records"):
            yield {str(key): value for key, value in row.items()}, done


def _points(curve: pd.DataFrame) -> np.ndarray:
    """Steps and losses ``(n, 2)``, ascending, finite ones."""
    values = curve[["step", "loss"]].dropna().sort_values("step").to_numpy(dtype=float)
    finite: np.ndarray = values[np.isfinite(values).all(axis=1)]
    return finite


Verdict = tuple[str, float, float] | None


def _by_median(
    one: Mapping[str, Any], curve: np.ndarray, done: list[np.ndarray], level: float
) -> Verdict:
    step, best = curve[-1, 0], float(curve[:, 1].min())
    averages = [peer[peer[:, 0] <= step, 1].mean() for peer in done if peer[0, 0] <= step]
    if len(averages) < FEWEST_PEERS:
        return None
    median = float(np.median(averages))
    if best <= median:
        return None
    share = step / one["num_tokens"]
    reason = (
        f"its best loss {best:.4g} at {share:.0%} is above {median:.4g}, the median of the "
        f"{len(averages)} runs of its size that are done"
    )
    return reason, best, median


def _by_forecast(
    one: Mapping[str, Any], curve: np.ndarray, done: list[np.ndarray], level: float
) -> Verdict:
    step, total = curve[-1, 0], float(one["num_tokens"])
    ratios = []
    for peer in done:
        expected = _expected(peer[peer[:, 0] <= step], total, level)
        if expected is not None:
            ratios.append(peer[-1, 1] / expected[1])
    expected = _expected(curve, total, level)
    if expected is None or len(ratios) < FEWEST_PEERS:
        return None
    least = float(expected[0] * min(ratios))
    best = float(min(peer[-1, 1] for peer in done))
    if least <= best:
        return None
    reason = (
        f"its loss is expected at {least:.4g} or above by {step / total:.0%} of its curve, and the "
        f"best of {len(done)} runs of its size has {best:.4g}"
    )
    return reason, least, best


def _expected(curve: np.ndarray, total: float, level: float) -> tuple[float, float] | None:
    """The lower end of the interval, and the middle, of what a curve will come to."""
    import pandas as pd

    if len(curve) < FEWEST_POINTS:
        return None
    table = pd.DataFrame({"step": curve[:, 0], "loss": curve[:, 1]})
    try:
        seen = forecast(table, x_col="step", within_runs=True)
        at = pd.DataFrame({"step": [total]})
        low, middle = seen.predict_ci(at, level=level)[0][0], seen.predict(at)[0]
    except (NoAnswerError, ValueError):
        return None
    return (float(low), float(middle)) if np.isfinite([low, middle]).all() else None
