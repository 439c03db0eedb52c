"""Metrics that somebody else's program logged in a tracking store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scaling.tracking.ready import connect, reported

if TYPE_CHECKING:
    from mlflow import MlflowClient

History = list[tuple[int, float]]  # step and value, in the order in which they came


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


def metric_history(tracking_uri: str, run_id: str, name: str) -> History:
    """The history of one metric of one run.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    client = connect(tracking_uri)
    with reported(tracking_uri):
        return _history(client, run_id, name)


def _history(client: MlflowClient, run_id: str, name: str) -> History:
    history = client.get_metric_history(run_id, name)
    history.sort(key=lambda metric: metric.timestamp)
    return [(metric.step, metric.value) for metric in history]
