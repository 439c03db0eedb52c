"""``fit(law, runs)``: the global optimum of a law, as a frozen value with its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from analysis.fits.bootstrap import bootstrap as resampled_fits
from analysis.fits.certificate import certify, probes
from analysis.fits.newton import minimise
from analysis.fits.penalty import Penalty
from analysis.fits.problem import BEYOND, Problem
from analysis.fits.result import Fit
from analysis.fits.rows import observe
from analysis.fits.starts import best_starts, random_starts, settle
from analysis.laws import Array, Law, law_for, scales

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fit", "fit"]

GRID_STARTS = 4
"""Best grid points that are polished besides the independent starts."""

NO_VALUE = 1e50
"""Objective that only a run without a prediction (``problem.BEYOND``) exceeds."""


def fit(
    law: str | Law,
    runs: pd.DataFrame,
    *,
    loss_fn: str = "huber",
    delta: float = 1e-3,
    space: str | None = None,
    weights: str | Array | None = None,
    asymmetry: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    x_col: str | None = None,
    y_col: str | None = None,
    bootstrap: int = 0,
    resample: str | Array = "pairs",
    cluster: str | None = None,
    starts: int = 12,
    seed: int = 0,
) -> Fit:
    """Fit ``law`` to ``runs``: the least sum over runs of weight x penalty of the residual.

    Parameters
    ----------
    law : str or Law
        A name in ``LAWS``, a formula such as ``"L = E + A / width**alpha"`` whose inputs are
        columns of ``runs`` (or N, D, C, U), or a ``Law``.
    runs : DataFrame
        One row per run (``scaling/schema.py``). Rows with an ``exclude_reason`` or without a
        usable value are left out and listed in ``excluded``.
    loss_fn, delta, asymmetry
        The penalty, see ``analysis.fits.penalty.Penalty``. Huber with delta 1e-3 on log residuals
        is Hoffmann et al.'s choice: losses of language models scatter by some 1e-3 to 1e-2, so
        nearly all runs count by sign and few outliers matter.
    space : "log" or "linear", optional
        Space of the residuals; the law's own if not given (log for losses). They are different
        estimands.
    weights : str or array, optional
        Column or ``(n_rows,)`` of weights.
    fixed : mapping, optional
        Parameters held at a value.
    x_col, y_col : str, optional
        The column that a one-variable law takes, and the column that is predicted.
    bootstrap : int
        Number of draws for intervals (0: none), each restarted globally.
    resample : "pairs", "cluster", "residual" or array ``(bootstrap, n_runs)``
        What is drawn, see ``analysis.fits.bootstrap.bootstrap``; ``cluster`` names the column of
        the cluster, and clusters are then drawn, not pairs. An array says how often each fitted
        run counts in each draw.
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
        If the law, a column or an option is not known, the rows or the clusters are too few, or
        the law has no finite value at a run wherever the search goes.
    TypeError
        If ``law`` is no law or ``runs`` no table.
    """
    if not hasattr(runs, "columns"):
        raise TypeError(
            f"runs is a {type(runs).__name__}, not a DataFrame: load_runs(path) reads a file, "
            "pandas.DataFrame(rows) makes one of a list or dict"
        )
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, Integral) or bootstrap < 0:
        raise ValueError(f"bootstrap is {bootstrap}; it is a number of draws: 0 for none, or 1000")
    if cluster is not None and isinstance(resample, str) and resample == "residual":
        raise ValueError("cluster= draws groups of rows, resample='residual' none: give one")
    if cluster is not None and isinstance(resample, str) and resample == "pairs":
        resample = "cluster"
    law = law_for(law, runs)
    if fixed:
        law = law.hold(fixed)
    space = space or law.space
    if space not in ("log", "linear"):
        raise ValueError(f"space {space!r} is neither 'log' nor 'linear'")
    if x_col is not None and len(law.inputs) != 1:
        raise ValueError(f"x_col is for laws of one variable; {law.name} takes {law.inputs}")
    x_cols = (x_col,) if x_col is not None else law.inputs
    y_col = y_col or law.output
    penalty = Penalty(loss_fn, delta, asymmetry)
    seen = observe(law, runs, x_cols, y_col, space, weights, cluster)
    units = scales(seen.inputs, law)
    problem = Problem(
        law,
        tuple(x / u for x, u in zip(seen.inputs, units, strict=True)),
        np.log(seen.observed) if space == "log" else seen.observed,
        seen.weights,
        penalty,
        space,
    )
    with np.errstate(all="ignore"):  # where a law has no value, another start may have one
        found, objectives = _search(problem, starts, seed)
    best = int(np.argmin(objectives))

    def original(theta: Array) -> Array:
        params = problem.params(theta)
        return params if law.rescale is None else law.rescale(params, 1 / units)

    status, diagnostics = certify(
        problem, found, objectives, slice(GRID_STARTS, GRID_STARTS + starts), seen, original
    )
    diagnostics["fixed"] = dict(fixed or {})
    diagnostics["groups"] = None if seen.clusters is None else int(seen.clusters.max()) + 1
    draws = None
    if bootstrap:
        draws = original(
            resampled_fits(problem, found[best], bootstrap, resample, seen.clusters, seed)
        )
    return Fit(
        law=law,
        params=dict(zip(law.names, original(found[best]).tolist(), strict=True)),
        status=status,
        objective=float(objectives[best]),
        loss_fn=loss_fn,
        delta=delta,
        asymmetry=asymmetry,
        space=space,
        x_cols=x_cols,
        y_col=y_col,
        inputs=seen.inputs,
        observed=seen.observed,
        weights=seen.weights,
        excluded=seen.excluded,
        diagnostics=diagnostics,
        draws=draws,
        resample=resample if isinstance(resample, str) else "given",
        seed=seed,
    )


def _search(problem: Problem, starts: int, seed: int) -> tuple[Array, Array]:
    """Optima ``(m, p)`` and objectives: from the grid, from random starts, from probes."""
    first = best_starts(problem, GRID_STARTS)[0]
    if problem.law.starts is not None:
        first = settle(problem, first)
    elif not starts:
        first = first[:1]
    if starts:
        rng = np.random.default_rng(seed)
        first = np.concatenate([first, random_starts(problem, starts, rng)])
    found, objectives = minimise(problem, first)
    if objectives.min() > NO_VALUE or problem.penalty.loss_fn == "tukey":  # whose sum is bounded
        _refuse_no_value(problem, found[np.argmin(objectives)])
    if not starts:
        return found, objectives
    near, near_objectives = minimise(
        problem, probes(problem, found[np.argmin(objectives)]), reach=0.02
    )
    return np.concatenate([found, near]), np.concatenate([objectives, near_objectives])


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
