"""Runs of an MLflow experiment that somebody else's training wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.importing.found import Flat, FoundRun, flat
from scaling.schema import COLUMNS, find_column, normalise
from scaling.table_file import plain_value

if TYPE_CHECKING:
    from scaling.tracking import History, StoredRun

_CURVES = ("loss", "num_tokens", "error", "lr")
_LOSSES = ("loss", *COLUMNS["loss"].spellings, "trainloss", "trainingloss")


def runs_of_experiment(
    tracking_uri: str, experiment: str, stated: Mapping[str, str]
) -> tuple[list[FoundRun], list[str]]:
    """The runs of an experiment, and what a reader should know of them.

    A run that only holds others together (it has children and no metric) is none.

    Raises
    ------
    ValueError
        If there is no such experiment, or it is one of ours.
    TrackingError
        If the store does not answer.
    """
    from scaling.tracking import OURS, histories, masked, stored_runs, without_binders

    if tracking_uri.startswith("file:"):  # which MLflow opens no more unless told to
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    stored, shown = stored_runs(tracking_uri, experiment), masked(tracking_uri)
    if any(OURS in run.tags for run in stored):
        raise ValueError(
            f"the runs of {experiment!r} are this laboratory's own: `scaling runs {experiment} "
            f"--tracking-uri {shown}` reads them as they are"
        )
    runs, notes = without_binders(stored)
    if not runs:
        raise ValueError(f"experiment {experiment!r} in {shown} has no runs")
    logged = list(dict.fromkeys(name for run in runs for name in run.metrics))
    wanted = _curve_metrics(logged, stated)
    curves = histories(tracking_uri, runs, wanted)
    return [_found(run, curves[run.run_id]) for run in runs], notes


def _curve_metrics(logged: list[str], stated: Mapping[str, str]) -> list[str]:
    """The metrics whose histories make the learning curve."""
    named = {stated.get(column) or find_column(column, logged) for column in _CURVES}
    losses = {name for name in logged if normalise(name) in _LOSSES}
    return [name for name in logged if name in named | losses]


def _found(run: StoredRun, curves: Mapping[str, History]) -> FoundRun:
    history: list[Flat] = []
    for name, points in curves.items():
        if len(points) > 1:
            history += [{"step": step, name: value} for step, value in points]
    took = (run.end_time - run.start_time) / 1000 if run.end_time and run.start_time else None
    params: dict[str, Any] = {name: plain_value(text) for name, text in run.params.items()}
    return FoundRun(
        source="mlflow",
        run=str(run.run_id),
        name=str(run.name or run.run_id),
        place=f"run {run.name!r}",
        state=str(run.status),
        options=flat(params),
        final=dict(run.metrics),
        history=history,
        seconds=took,
        born=run.start_time / 1000 if run.start_time else None,
    )
