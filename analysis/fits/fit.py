"""``fit(law, runs)``: the global optimum of a law, as a frozen value with its certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits.bootstrap import Bootstrap, resampled_fits
from analysis.fits.certificate import certify, doubt, probes
from analysis.fits.estimand import DEFAULT, USUAL, Estimand
from analysis.fits.exchange import named_alike
from analysis.fits.group_starts import group_starts
from analysis.fits.newton import minimise
from analysis.fits.pooling import pool, pooling_notes
from analysis.fits.problem import BEYOND, Problem
from analysis.fits.result import IDENTIFIED, Fit
from analysis.fits.rows import Observations, observe
from analysis.fits.starts import best_starts, random_starts, settle
from analysis.fits.width import TURN, turn_of
from analysis.laws import Array, Law, law_for
from analysis.tables import structure

if TYPE_CHECKING:
    import pandas as pd

GRID_STARTS = 4
"""Best grid points that are polished besides the independent starts."""

NO_VALUE = 1e50
"""Objective that only a run without a prediction (``problem.BEYOND``) exceeds."""


def fit(
    law: str | Law,
    runs: pd.DataFrame,
    estimand: Estimand = DEFAULT,
    *,
    bootstrap: int | Bootstrap = 0,
    starts: int = 12,
    seed: int = 0,
) -> Fit:
    """Fit ``law`` to ``runs``: the least sum over runs of weight x penalty of the residual.

    Parameters
    ----------
    law : str or Law
        A name in ``LAWS``, a formula such as ``"L = E + A / width**alpha"`` whose inputs are
        columns of ``runs`` (or N, D, C, U), or a ``Law``. ``LAWS[name].hold({"E": 1.7})`` is a law
        with a parameter held at a value.
    runs : DataFrame
        One row per run (``scaling/schema.py``). Rows with an ``exclude_reason`` or without a
        usable value are left out and listed in ``excluded``.
    estimand : Estimand
        What is estimated: penalty, space of the residuals, weights, columns.
    bootstrap : int or Bootstrap
        Number of draws for intervals (0: none), each restarted globally; a ``Bootstrap`` also
        says what is drawn.
    starts : int
        Number of independent random starts that the certificate rests on; with 0 the best
        points of the global grid alone are polished (some milliseconds).
    seed : int
        Of the draws and of the independent starts.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If the law or a column is not known, the rows (``TooFewRowsError``) or the clusters are
        too few, or the law has no finite value at a run wherever the search goes.
    TypeError
        If ``law`` is no law or ``runs`` no table.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.geomspace(1e6, 1e9, 9)
    >>> runs = pd.DataFrame({"flops": x, "loss": 40 * x**-0.3})
    >>> round(fit("power", runs, Estimand(x_col="flops")).params["alpha"], 6)
    0.3
    """
    if not hasattr(runs, "columns"):
        raise TypeError(
            f"runs is a {type(runs).__name__}, not a DataFrame: load_runs(path) reads a file, "
            "pandas.DataFrame(rows) makes one of a list or dict"
        )
    how = bootstrap if isinstance(bootstrap, Bootstrap) else Bootstrap(bootstrap)
    law = law_for(law, runs)
    seen = observe(law, runs, estimand, how.cluster)
    estimand = replace(estimand, space=seen.space).of(law)
    what, together = how.drawn, ""
    if how.is_auto:
        what, seen, together = _together(runs, how, seen)
    if estimand.delta is None:
        estimand = replace(estimand, delta=_delta(law, seen, estimand, seed))
    problem = Problem.of(law, seen.inputs, seen.observed, seen.weights, estimand)
    pooled: dict[str, Any] = {}
    with np.errstate(all="ignore"):  # where a law has no value, another start may have one
        if law.groups is not None and law.groups.pooled:
            theta, objectives, _ = _search(problem, 0, seed)
            problem, pooled = pool(problem, theta[np.argmin(objectives)])
        found, objectives, independent = _search(problem, starts, seed)
    best = int(np.argmin(objectives))
    diagnostics = certify(problem, found, objectives, independent, seen)
    diagnostics["pooled"] = pooled
    diagnostics["notes"] += pooling_notes(law, pooled)
    draws, failed = None, 0
    if how.draws:
        clusters = seen.clusters if what == "cluster" else None
        drawn = resampled_fits(problem, found[best], how, clusters, seed)
        drawn = replace(drawn, theta=named_alike(problem, drawn.theta, found[best]))
        draws, failed = problem.original(drawn.theta), drawn.failed
        doubt(diagnostics, problem, found[best], drawn)
    diagnostics |= {"together": together, "failed_draws": failed}
    return Fit(
        law=law,
        params=dict(zip(law.names, problem.original(found[best]).tolist(), strict=True)),
        status="; ".join(diagnostics["warnings"]) or IDENTIFIED,
        objective=float(objectives[best]),
        estimand=estimand,
        inputs=seen.inputs,
        observed=seen.observed,
        weights=seen.weights,
        excluded=seen.excluded,
        diagnostics=diagnostics,
        draws=draws,
        resample=what,
        seed=seed,
    )


def _together(
    runs: pd.DataFrame, how: Bootstrap, seen: Observations
) -> tuple[str, Observations, str]:
    """What is drawn where the table is to say it, with the clusters and the table's words."""
    if not how.draws:
        return "pairs", seen, ""
    found = structure(runs)
    says = "" if found.kind == "runs" and found.sure else found.says
    labels = np.unique(found.labels[seen.rows], return_inverse=True)[1]
    groups = int(labels.max()) + 1
    if groups == len(labels):
        return "pairs", seen, says
    # of one run there is nothing to draw but its rows
    return "cluster" if groups > 1 else "pairs", replace(seen, clusters=labels), says


def _delta(law: Law, seen: Observations, estimand: Estimand, seed: int) -> float:
    """Where the penalty turns: the usual place, or of linear residuals by how they scatter."""
    if estimand.space == "log" or estimand.loss_fn not in TURN:
        return USUAL
    middle = replace(estimand, loss_fn="lad")
    problem = Problem.of(law, seen.inputs, seen.observed, seen.weights, middle)
    with np.errstate(all="ignore"):
        theta, objectives, _ = _search(problem, 0, seed)
        left = problem.residuals(theta[[np.argmin(objectives)]])[0]
    return turn_of(estimand.loss_fn, left, seen.observed, len(law.parameters))


def _search(problem: Problem, starts: int, seed: int) -> tuple[Array, Array, slice]:
    """Optima ``(m, p)`` and objectives: from the grid, from random starts (which), from probes."""
    first, independent = _first(problem, starts, np.random.default_rng(seed))
    first = np.concatenate([first, independent])
    random = slice(len(first) - len(independent), len(first))
    found, objectives = minimise(problem, first)
    if objectives.min() > NO_VALUE or problem.penalty.loss_fn == "tukey":  # whose sum is bounded
        _refuse_no_value(problem, found[np.argmin(objectives)])
    if not starts:
        return found, objectives, random
    near, near_objectives = minimise(
        problem, probes(problem, found[np.argmin(objectives)]), reach=0.02
    )
    found, objectives = np.concatenate([found, near]), np.concatenate([objectives, near_objectives])
    return found, objectives, random


def _first(problem: Problem, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Starts from the grid or from what each group says, and ``count`` independent ones."""
    if problem.law.groups is not None:
        return group_starts(problem, count, rng)
    first = best_starts(problem, GRID_STARTS)[0]
    if problem.law.starts is not None:
        first = settle(problem, first)
    elif not count:
        first = first[:1]
    return first, random_starts(problem, count, rng) if count else first[:0]


def _refuse_no_value(problem: Problem, theta: Array) -> None:
    """``ValueError`` if the law has no finite value (in log space: no positive one) at a run."""
    r = problem.residuals(theta[None])[0]
    without = int((np.abs(r) >= BEYOND[r.dtype]).sum())
    if without:
        raise ValueError(
            f"{problem.law.formula}: no finite {'positive ' * (problem.space == 'log')}value at "
            f"{without} of {len(r)} runs from any start; mend the law or say where its parameters "
            "may start (--start NAME=LOW,HIGH, or start= of formula_law)"
        )
