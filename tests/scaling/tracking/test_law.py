"""A sweep's law in MLflow: one run, however often it is told and wherever it was killed."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from scaling.tracking import connect, log_law, prepare, stored_runs
from scaling.tracking.values import LAW_METRIC

LINE = [(1e7, 3.0), (1e8, 2.5), (1e9, 2.0)]


@pytest.fixture
def uri(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    prepare(uri, "s")
    return uri


def laws(uri, view=ViewType.ACTIVE_ONLY):
    client = connect(uri)
    experiment = client.get_experiment_by_name("s").experiment_id
    return client.search_runs([experiment], "tags.`scaling.kind` = 'law'", view)


def line_of(uri, run):
    points = connect(uri).get_metric_history(run.info.run_id, LAW_METRIC)
    return {point.step: point.value for point in points}


def test_a_law_is_one_run_until_it_changes_and_no_training_run(uri):
    for _ in range(2):
        log_law(uri, "s", "L = 1", LINE)
    (first,) = laws(uri, ViewType.ALL)
    assert line_of(uri, first) == {10: 3.0, 100: 2.5, 1000: 2.0}
    assert first.info.status == "FINISHED"
    log_law(uri, "s", "L = 2", [(x, y / 2) for x, y in LINE])
    (second,) = laws(uri)
    assert second.info.run_name == "law: L = 2"
    assert line_of(uri, second) == {10: 1.5, 100: 1.25, 1000: 1.0}
    log_law(uri, "s", "L = 1", LINE)
    (third,) = laws(uri)
    assert third.info.run_name == "law: L = 1"
    assert stored_runs(uri, "s") == []
    log_law(uri, "s", "", [])
    assert laws(uri) == []


def test_a_law_that_somebody_deleted_stays_so(uri):
    log_law(uri, "s", "L = 1", LINE)
    connect(uri).delete_run(laws(uri)[0].info.run_id)
    log_law(uri, "s", "L = 1", LINE)
    assert laws(uri) == []


@pytest.mark.parametrize("call", ["delete_run", "log_batch", "set_terminated"])
def test_killed_at_any_call_it_is_there_once_after_the_next(uri, monkeypatch, call):
    log_law(uri, "s", "L = 1", LINE)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, call, killed)
        with pytest.raises(KeyboardInterrupt):
            log_law(uri, "s", "L = 2", LINE[:2])
    log_law(uri, "s", "L = 2", LINE[:2])
    (run,) = laws(uri)
    assert run.info.run_name == "law: L = 2"
    assert line_of(uri, run) == {10: 3.0, 100: 2.5}


def test_compute_that_is_no_step_is_left_out(uri):
    log_law(uri, "s", "L", [(1e3, 4.0), (1e9, 2.0), (1e25, 1.0)])
    (run,) = laws(uri)
    assert line_of(uri, run) == {1000: 2.0}
