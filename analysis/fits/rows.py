"""Rows of a run table that a law can be fitted to, and the reason for each that is left out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fits.estimand import Estimand
from analysis.fits.starts import shape_grid
from analysis.laws import Array, Law, group_names, scales
from analysis.tables import alike, numbers, place
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd


FEW = 0.1
"""Share of zeros among the responses up to which they are taken for runs that went wrong."""


class TooFewRowsError(ValueError):
    """Fewer usable rows than the law has parameters."""


@dataclass(frozen=True)
class Observations:
    """What is fitted: ``inputs`` and ``observed`` ``(n,)``, ``weights``, the ``rows`` they are.

    ``excluded`` has one ``{"row", "run_id", "reason"}`` for each row of the table not used.
    ``space`` is that of the residuals, and ``notes`` say what was chosen that nobody asked for.
    """

    inputs: tuple[Array, ...]
    observed: Array
    weights: Array
    rows: NDArray[np.intp]
    excluded: tuple[dict[str, Any], ...]
    space: str
    notes: tuple[str, ...] = ()
    clusters: NDArray[np.intp] | None = None


def observe(
    law: Law, runs: pd.DataFrame, estimand: Estimand, cluster: str | None = None
) -> Observations:
    """The rows of ``runs`` that ``law`` can be fitted to; ``cluster`` names a column of clusters.

    A row with an ``exclude_reason``, a missing or infinite value, a weight or (in log space) an
    observation that is not positive, or inputs at which the law has no value, as a power has
    none at 0, is left out and listed. Where the estimand leaves the space to a user's law,
    residuals are linear if an observation is negative, or more than ``FEW`` of them are 0.

    Raises
    ------
    ValueError
        If a column is missing or holds text, or there is one cluster.
    TooFewRowsError
        If fewer rows remain than the law has parameters.
    """
    asked, estimand = estimand.space, estimand.of(law)
    runs = runs if law.derive is None else law.derive(runs)
    x_cols, y_col, weights = estimand.x_cols(law), estimand.y_col or law.output, estimand.weights
    for column, what in ((weights, "weights"), (cluster, "clusters")):
        if isinstance(column, str) and column not in runs.columns:
            refuse_unknown(column, map(str, runs.columns), f"column of {what}")
    if missing := [name for name in (*x_cols, y_col) if name not in runs.columns]:
        ways = [f"--col {shlex.quote(f'{name}={alike(name, runs)}')}" for name in missing]
        raise ValueError(
            f"the run table has no column {' and no '.join(map(repr, missing))}, which {law.name} "
            f"needs: say {' '.join(ways)}; it has {', '.join(map(str, runs.columns))}"
        )
    in_groups = () if law.groups is None else law.groups.columns
    values = {name: _numbers(runs, name) for name in (*x_cols, y_col) if name not in in_groups}
    if weights is None:
        w = np.ones(len(runs))
    elif isinstance(weights, str):
        w = _numbers(runs, weights)
    else:
        w = np.asarray(weights, dtype=float)
        if w.shape != (len(runs),):
            raise ValueError(f"weights has shape {w.shape}; one for each of {len(runs)} runs")
    reasons = _reasons(runs)
    for name in in_groups:
        values[name] = _groups(reasons, law, name, runs[name])
    for name in x_cols:
        _mark(reasons, name, values[name], np.isfinite(values[name]))
    _mark(reasons, "weight", w, (w > 0) & (w < np.inf))
    y = values[y_col]
    _mark(reasons, y_col, y, np.isfinite(y))
    space, notes = estimand.space or law.space, tuple[str, ...]()
    if asked is None and law.own and space == "log":
        space, notes = _space(y_col, y[_used(runs, reasons)])
    if space == "log":
        _mark(reasons, y_col, y, y > 0)
    used = _used(runs, reasons)
    without = _without_value(law, tuple(values[name][used] for name in x_cols), y[used])
    for i in used[without].tolist():
        at = ", ".join(
            f"{name} is {values[name][i]:g}"
            for name in x_cols[: len(law.variables)]
            if values[name][i] <= 0
        )
        reasons[i] = f"{at}, where {law.name} has no value"
    used = _used(runs, reasons)
    named = reasons and "run_id" in runs
    ids = runs["run_id"].tolist() if named else [None] * len(runs)
    excluded = tuple(
        {"row": i, "run_id": ids[i], "reason": reason} for i, reason in sorted(reasons.items())
    )
    if len(used) < len(law.parameters):
        if law.groups is not None:
            _refuse_single_groups(law, tuple(values[name][used] for name in law.groups.columns))
        raise TooFewRowsError(
            f"{law.name} has {len(law.parameters)} parameters and the table {len(used)} usable "
            f"row{'s' * (len(used) != 1)} of {len(runs)}; add runs or choose a law with fewer "
            "parameters, such as power, of one variable (2)"
            + (f" ({place(runs, min(reasons))}: {excluded[0]['reason']})" if excluded else "")
        )
    if law.groups is not None:
        _refuse_small_groups(law, tuple(values[name][used] for name in law.groups.columns))
    clusters = None
    if cluster is not None:
        clusters = np.unique(runs[cluster].astype(str).to_numpy()[used], return_inverse=True)[1]
        if clusters.max() < 1:
            raise ValueError(
                f"column {cluster!r} has 1 group of rows; drawing groups needs two, better ten: "
                "name a column with more or draw pairs"
            )
    return Observations(
        tuple(values[name][used] for name in x_cols),
        values[y_col][used],
        w[used],
        used,
        excluded,
        space,
        notes,
        clusters,
    )


def _groups(reasons: dict[int, str], law: Law, column: str, names: pd.Series) -> Array:
    """The number of each row's group; rows of no known group get that reason."""
    assert law.groups is not None
    codes = law.groups.codes(column, names)
    for i in np.flatnonzero(np.isnan(codes)).tolist():
        name = group_names([names.iloc[i]])[0]
        unknown = f"{column} {name!r} is none of the law's groups"
        reasons.setdefault(i, unknown if name else f"{column} missing")
    return codes


def _refuse_small_groups(law: Law, codes: tuple[Array, ...]) -> None:
    """``TooFewRowsError`` for a group with fewer rows than it has free parameters of its own."""
    groups = law.groups
    assert groups is not None
    for (column, levels), code in zip(groups.levels, codes, strict=True):
        own = [name for name, c in groups.by if c == column and name not in groups.pooled]
        rows = np.bincount(code.astype(int), minlength=len(levels))
        for level, n in zip(levels, rows.tolist(), strict=True):
            if n < len(own):
                raise TooFewRowsError(
                    f"{column} {level!r} has {n} usable rows for {len(own)} parameters of its own "
                    f"({', '.join(own)}); leave it out (--where \"{column} != '{level}'\") or pool "
                    f"them, as in {own[0]}[~{column}]"
                )


def _refuse_single_groups(law: Law, codes: tuple[Array, ...]) -> None:
    """``TooFewRowsError`` where groups have a row each, which tells nothing of a group."""
    groups = law.groups
    assert groups is not None
    for (column, levels), code in zip(groups.levels, codes, strict=True):
        rows = np.bincount(code.astype(int), minlength=len(levels))
        single = [name for name, n in zip(levels, rows.tolist(), strict=True) if n == 1]
        if single:
            raise TooFewRowsError(
                f"{len(single)} of {len(levels)} groups of {column} have one row ({single[0]!r}): "
                f"there are {len(law.parameters)} parameters for {int(rows.sum())} rows; pool by a "
                "column with more rows a group, or fewer parameters (--pool COL:NAME)"
            )


def _used(runs: pd.DataFrame, reasons: dict[int, str]) -> NDArray[np.intp]:
    usable = np.ones(len(runs), dtype=bool)
    usable[list(reasons)] = False
    return np.flatnonzero(usable)


def _space(name: str, y: Array) -> tuple[str, tuple[str, ...]]:
    """The space of the residuals of observations ``y``, and what to say of it."""
    negative, zero = int((y < 0).sum()), int((y == 0).sum())
    if not negative and zero <= FEW * len(y):
        return "log", ()
    what = f"negative in {negative}" if negative else f"0 in {zero}"
    return "linear", (
        f"residuals are linear: {name} is {what} of {len(y)} rows, which has no logarithm "
        "(--space log leaves them out)",
    )


def _without_value(law: Law, inputs: tuple[Array, ...], observed: Array) -> NDArray[np.bool_]:
    """Rows with a zero or negative input at which ``law`` is not finite wherever it may start."""
    odd: NDArray[np.bool_] = np.any([x <= 0 for x in inputs[: len(law.variables)]], axis=0)
    if not odd.any():
        return odd
    units = scales(tuple(x[~odd] for x in inputs), law)
    scaled = tuple(x / u for x, u in zip(inputs, units, strict=True))
    with np.errstate(all="ignore"):
        if law.starts is None or odd.all():
            params = shape_grid(law)
        else:
            params = law.starts(observed[~odd], *(x[~odd] for x in scaled))
        at = tuple(x[odd] for x in scaled)
        sound = np.isfinite(law.predict(params, *at))
        sound &= np.isfinite(law.gradient(params, *at)).all(axis=-2)
    odd[odd] = ~sound.any(axis=0)
    return odd


def _reasons(runs: pd.DataFrame) -> dict[int, str]:
    """Why a row is left out, by its number, where the table itself says so."""
    if "exclude_reason" not in runs:
        return {}
    return {
        i: reason
        for i, reason in enumerate(runs["exclude_reason"])
        if isinstance(reason, str) and reason.strip()
    }


def _mark(reasons: dict[int, str], name: str, values: Array, good: NDArray[np.bool_]) -> None:
    for i in np.flatnonzero(~good).tolist():
        value = values[i]
        reasons.setdefault(i, f"{name} missing" if np.isnan(value) else f"{name} is {value:g}")


def _numbers(runs: pd.DataFrame, name: str) -> Array:
    plain = runs[name].to_numpy()
    if plain.dtype.kind in "iuf":
        return plain.astype(float, copy=False)
    return numbers(runs[name], name).to_numpy()
