"""Rows of a run table that a law can be fitted to, and the reason for each that is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fits.estimand import Estimand
from analysis.laws import Array, Law
from analysis.tables import numbers, place

if TYPE_CHECKING:
    import pandas as pd


class TooFewRowsError(ValueError):
    """Fewer usable rows than the law has parameters."""


@dataclass(frozen=True)
class Observations:
    """What is fitted: ``inputs`` and ``observed`` ``(n,)``, ``weights``, the ``rows`` they are.

    ``excluded`` has one ``{"row", "run_id", "reason"}`` for each row of the table not used.
    """

    inputs: tuple[Array, ...]
    observed: Array
    weights: Array
    rows: NDArray[np.intp]
    excluded: tuple[dict[str, Any], ...]
    clusters: NDArray[np.intp] | None = None


def observe(
    law: Law, runs: pd.DataFrame, estimand: Estimand, cluster: str | None = None
) -> Observations:
    """The rows of ``runs`` that ``law`` can be fitted to; ``cluster`` names a column of clusters.

    A row with an ``exclude_reason``, or a missing, infinite or (inputs; in log space the
    observation too) non-positive value is left out and listed.

    Raises
    ------
    ValueError
        If a column is missing or holds text, or there is one cluster.
    TooFewRowsError
        If fewer rows remain than the law has parameters.
    """
    estimand = estimand.of(law)
    x_cols, y_col, weights = estimand.x_cols(law), estimand.y_col or law.output, estimand.weights
    for name in (*x_cols, y_col, *(c for c in (weights, cluster) if isinstance(c, str))):
        if name not in runs.columns:
            raise ValueError(
                f"the run table has no column {name!r}, which {law.name} needs; "
                f"it has {', '.join(map(str, runs.columns))}"
            )
    values = {name: _numbers(runs, name) for name in (*x_cols, y_col)}
    if weights is None:
        w = np.ones(len(runs))
    elif isinstance(weights, str):
        w = _numbers(runs, weights)
    else:
        w = np.asarray(weights, dtype=float)
        if w.shape != (len(runs),):
            raise ValueError(f"weights has shape {w.shape}; one for each of {len(runs)} runs")
    reasons = _reasons(runs)
    for name in x_cols:
        _mark(reasons, name, values[name], positive=True)
    _mark(reasons, y_col, values[y_col], positive=estimand.space == "log")
    _mark(reasons, "weight", w, positive=True)
    usable = np.ones(len(runs), dtype=bool)
    usable[list(reasons)] = False
    used = np.flatnonzero(usable)
    named = reasons and "run_id" in runs
    ids = runs["run_id"].tolist() if named else [None] * len(runs)
    excluded = tuple(
        {"row": i, "run_id": ids[i], "reason": reason} for i, reason in sorted(reasons.items())
    )
    if len(used) < len(law.parameters):
        raise TooFewRowsError(
            f"{law.name} has {len(law.parameters)} parameters and the table {len(used)} usable "
            f"rows of {len(runs)}; add runs or choose a law with fewer parameters"
            + (f" ({place(runs, min(reasons))}: {excluded[0]['reason']})" if excluded else "")
        )
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
        clusters,
    )


def _reasons(runs: pd.DataFrame) -> dict[int, str]:
    """Why a row is left out, by its number, where the table itself says so."""
    if "exclude_reason" not in runs:
        return {}
    return {
        i: reason
        for i, reason in enumerate(runs["exclude_reason"])
        if isinstance(reason, str) and reason.strip()
    }


def _mark(reasons: dict[int, str], name: str, values: Array, positive: bool) -> None:
    wrong = ~((values > 0) & (values < np.inf)) if positive else ~np.isfinite(values)
    for i in np.flatnonzero(wrong).tolist():
        value = values[i]
        reasons.setdefault(i, f"{name} missing" if np.isnan(value) else f"{name} is {value:g}")


def _numbers(runs: pd.DataFrame, name: str) -> Array:
    plain = runs[name].to_numpy()
    if plain.dtype.kind in "iuf":
        return plain.astype(float, copy=False)
    return numbers(runs[name], name).to_numpy()
