"""A sweep's law as a line in MLflow's charts: one run of kind ``law`` beside the training runs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence

from scaling.tracking.ready import SUPERSEDED, connect, prepare, reported, sent_once
from scaling.tracking.values import LAW_METRIC, compute_step
from scaling.tracking.view import COLOUR_TAG

LINE_COLOUR = "#d55e00"  # vermilion, which no size has
_DIGEST, _STATUS = "scaling.law", "scaling.status"


def log_law(
    tracking_uri: str, experiment: str, formula: str, line: Sequence[tuple[float, float]]
) -> None:
    """Put a law's frontier into the experiment as its one run of kind ``law``.

    What is there already stays; another law's is deleted, for points of a metric cannot be taken
    back; one that was killed half-way is made anew. Without a line there is no such run.

    Parameters
    ----------
    tracking_uri, experiment : str
    formula : str
        The run's name.
    line : sequence of (float, float)
        Training FLOPs and the lowest loss that the law expects there.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    from mlflow.entities import Metric, ViewType

    points = {at: float(f"{y:.6g}") for x, y in line if (at := compute_step(x))}
    digest = hashlib.sha256(json.dumps([formula, *points.items()]).encode()).hexdigest()[:12]
    experiment_id = prepare(tracking_uri, experiment)
    client = connect(tracking_uri)
    with reported(tracking_uri):
        found = client.search_runs([experiment_id], "tags.`scaling.kind` = 'law'", ViewType.ALL)
        same = [
            run
            for run in found
            if run.data.tags.get(_DIGEST) == digest
            and run.data.tags.get(_STATUS) != SUPERSEDED
            and run.info.status == "FINISHED"
        ]  # which somebody may have deleted: it stays so
        for run in found:
            if run.info.lifecycle_stage == "active" and run not in same[:1]:
                client.set_tag(run.info.run_id, _STATUS, SUPERSEDED)
                client.delete_run(run.info.run_id)
        if same or not points:
            return
        tags = {"scaling.kind": "law", _DIGEST: digest, COLOUR_TAG: LINE_COLOUR}
        with sent_once():
            run = client.create_run(experiment_id, tags=tags, run_name=f"law: {formula}"[:250])
        now = round(1000 * time.time())
        metrics = [Metric(LAW_METRIC, y, now, step) for step, y in points.items()]
        client.log_batch(run.info.run_id, metrics=metrics)
        client.set_terminated(run.info.run_id)
