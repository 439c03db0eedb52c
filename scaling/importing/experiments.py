"""Runs of an MLflow experiment that somebody else's training wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.importing.found import Flat, FoundRun, flat
from scaling.schema import COLUMNS, find_column, normalise
from scaling.table_file import plain_value

if TYPE_CHECKING:
    from mlflow.entities import Run

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
    from scaling.tracking import OURS, masked, stored_runs, without_binders

    if tracking_uri.startswith("file:"):  # which MLflow opens no more unless told to
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    stored, shown = stored_runs(tracking_uri, experiment), masked(tracking_uri)
    if any(OURS in run.data.tags for run in stored):
        raise ValueError(
            f"the runs of {experiment!r} are this laboratory's own: `scaling runs {experiment} "
            f"--tracking-uri {shown}` reads them as they are"
        )
    runs, notes = without_binders(stored)
    if not runs:
        raise ValueError(f"experiment {experiment!r} in {shown} has no runs")
    logged = list(dict.fromkeys(name for run in runs for name in run.data.metrics))
    wanted = _curve_metrics(logged, stated)
    return [_found(tracking_uri, run, wanted) for run in runs], notes


def _curve_metrics(logged: list[str], stated: Mapping[str, str]) -> list[str]:
    """The metrics whose histories make the learning curve: asked for one by one, others are not."""
    named = {stated.get(column) or find_column(column, logged) for column in _CURVES}
    losses = {name for name in logged if normalise(name) in _LOSSES}
    return [name for name in logged if name in named | losses]


def _found(tracking_uri: str, run: Run, wanted: list[str]) -> FoundRun:
    from scaling.tracking import metric_history

    info, data = run.info, run.data
    history: list[Flat] = []
    for name in wanted:
        if name in data.metrics:
            points = metric_history(tracking_uri, info.run_id, name)
            if len(points) > 1:
                history += [{"step": step, name: value} for step, value in points]
    took = (info.end_time - info.start_time) / 1000 if info.end_time and info.start_time else None
    params: dict[str, Any] = {name: plain_value(text) for name, text in data.params.items()}
    return FoundRun(
        source="mlflow",
        run=str(info.run_id),
        name=str(info.run_name or info.run_id),
        place=f"run {info.run_name!r}",
        state=str(info.status),
        options=flat(params),
        final=dict(data.metrics),
        history=history,
        seconds=took,
        born=info.start_time / 1000 if info.start_time else None,
    )
