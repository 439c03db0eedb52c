"""Metrics that somebody else's program logged in a tracking store."""

from __future__ import annotations

from collections.abc import Iterator

from scaling.tracking.ready import connect, reported

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
                history = client.get_metric_history(run_id, name)
                history.sort(key=lambda metric: metric.timestamp)
                yield run_id, name, [(metric.step, metric.value) for metric in history]
