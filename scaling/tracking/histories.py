"""Metrics over steps in a tracking store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from scaling.tracking.ready import connect, reported
from scaling.tracking.sql import histories_in, is_sql
from scaling.tracking.stored import History, StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient


def metric_histories(tracking_uri: str) -> Iterator[tuple[str, str, History]]:
    """Run, metric and history of everything in a store, the oldest run first.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    client = connect(tracking_uri)
    with reported(tracking_uri):
        experiments = [e.experiment_id for e in client.search_experiments()]
        runs = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
        for run in runs:
            run_id = str(run.info.run_id)
            for name in run.data.metrics:
                yield run_id, name, _history(client, run_id, name)


def histories(
    tracking_uri: str, runs: Sequence[StoredRun], names: Collection[str]
) -> dict[str, dict[str, History]]:
    """Run -> metric -> history, of those of ``names`` that a run has.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    with reported(tracking_uri):
        if is_sql(tracking_uri):
            return histories_in(tracking_uri, [run.run_id for run in runs], names)
        client = connect(tracking_uri)
        return {
            run.run_id: {
                name: _history(client, run.run_id, name) for name in run.metrics if name in names
            }
            for run in runs
        }


def _history(client: MlflowClient, run_id: str, name: str) -> History:
    history = client.get_metric_history(run_id, name)
    history.sort(key=lambda metric: metric.timestamp)
    return [(metric.step, metric.value) for metric in history]
