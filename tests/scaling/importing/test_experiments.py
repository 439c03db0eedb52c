"""Experiments that MLflow's own client wrote, with nested runs, in a real SQLite store."""

from __future__ import annotations

import shutil

import pytest

from scaling.importing import Stated, find_runs, understand
from scaling.tracking import connect, stored_runs

LOSS = 2.0000000000000004  # the float after 2


@pytest.fixture
def theirs(empty_store, tmp_path) -> str:
    """A store with a parent that only holds its children together."""
    shutil.copy(empty_store, tmp_path / "theirs.db")
    uri = f"sqlite:///{tmp_path / 'theirs.db'}"
    client = connect(uri)
    experiment = client.create_experiment("theirs", artifact_location=str(tmp_path))
    parent = client.create_run(experiment, run_name="search").info.run_id
    for name, end in (("a", "FINISHED"), ("b", "KILLED"), ("c", "FAILED"), ("d", None)):
        tags = {"mlflow.parentRunId": parent}
        run = client.create_run(experiment, run_name=name, tags=tags, start_time=1000).info.run_id
        client.log_param(run, "width", "64")
        client.log_param(run, "data", "web")
        for step in (1, 2):
            client.log_metric(run, "val_loss", LOSS + (2 - step), step=step)
            client.log_metric(run, "tokens", 1e6 * step, step=step)
            client.log_metric(run, "grad norm", 0.5, step=step)
        if end:
            client.set_terminated(run, end, end_time=61_000)
    client.set_terminated(parent)
    return uri


def test_an_experiment(theirs):
    found, notes = find_runs([theirs], "theirs")
    assert notes == ["1 of 5 runs only hold others together and are left out: 'search'"]
    runs, _ = understand(found, Stated.parse({}, ["num_params=12*width^2"]))
    by_name = {run.name: run for run in runs}
    assert {name: run.spec.result["status"] for name, run in by_name.items()} == {
        "a": "done", "b": "stopped", "c": "failed", "d": "running",
    }  # fmt: skip
    done = by_name["a"]
    assert done.spec.options == {"width": 64, "data": "web"}
    assert done.spec.result == {"status": "done", "loss": LOSS, "tokens": 2_000_000, "seconds": 60}
    assert [(p["step"], p["loss"]) for p in done.points] == [
        (1_000_000, LOSS + 1),
        (2_000_000, LOSS),
    ]
    assert done.spec.counts["num_params"] == 49152
    assert done.spec.columns()["grad norm"] == 0.5


def test_an_experiment_that_is_not_there(theirs, tmp_path):
    with pytest.raises(ValueError, match="has no experiment 'others'; it has Default, theirs"):
        find_runs([theirs], "others")
    for uri in (f"sqlite:///{tmp_path / 'none'}", (tmp_path / "none").as_uri()):
        with pytest.raises(ValueError, match="there is no tracking store at"):
            find_runs([uri], "theirs")
    assert not (tmp_path / "none").exists()


def test_our_own_are_read_not_imported(theirs):
    client = connect(theirs)
    client.set_tag(stored_runs(theirs, "theirs")[1].run_id, "scaling.run_id", "0" * 16)
    with pytest.raises(ValueError, match="`scaling runs theirs --tracking-uri"):
        find_runs([theirs], "theirs")


def test_a_folder_of_mlflow(tmp_path, monkeypatch):
    """MLflow writes and opens ``mlruns`` no more unless told to; what it wrote is there still."""
    uri = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = connect(uri)
    run = client.create_run(client.create_experiment("old"), run_name="a").info.run_id
    client.log_metric(run, "val_loss", LOSS, step=1)
    client.set_terminated(run)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    (one,), _ = find_runs([uri], "old")
    assert understand([one])[0][0].spec.result["loss"] == LOSS
