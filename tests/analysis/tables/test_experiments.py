"""Experiments of MLflow that anybody wrote are read as files are."""

from __future__ import annotations

import shutil

import pytest

from analysis.tables import load_runs
from scaling.tracking import connect

RUNS = (
    ("a", "125M", "2.5B", 3.5, "FINISHED"),
    ("b", "350M", "7B", 3.1, "FINISHED"),
    ("b again", "350M", "7B", 3.1, "FINISHED"),
    ("c", "1.3 giga", "26B", 2.7, "FINISHED"),
    ("d", "1.3B", "1B", 3.9, "KILLED"),
    ("e", "1.3B", "1B", 3.9, "FAILED"),
    ("f", "1.3B", "1B", 3.9, None),
)


@pytest.fixture
def theirs(empty_store, tmp_path) -> str:
    """A store with a parent that only holds its children together."""
    shutil.copy(empty_store, tmp_path / "theirs.db")
    uri = f"sqlite:///{tmp_path / 'theirs.db'}"
    client = connect(uri)
    experiment = client.create_experiment("theirs", artifact_location=str(tmp_path))
    parent = client.create_run(experiment, run_name="search").info.run_id
    for name, params, tokens, loss, end in RUNS:
        tags = {"mlflow.parentRunId": parent, "width": "64", "team": "x"}
        run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        for key, value in (("model_size", params), ("tokens", tokens), ("optimizer", "adam")):
            client.log_param(run, key, value)
        client.log_metric(run, "eval/loss", loss)
        client.log_metric(run, "accuracy", 0.5)
        if end:
            client.set_terminated(run, end)
    return uri


def test_every_parameter_metric_and_number_is_a_column(theirs):
    table = load_runs("theirs", tracking_uri=theirs).set_index("name")
    assert table.loc["a", "num_params"] == 125e6
    assert table.loc["b", "num_tokens"] == 7e9
    assert table["loss"].tolist() == [run[3] for run in RUNS]
    assert set(table["width"]) == {64}
    assert set(table["optimizer"]) == {"adam"}
    assert "team" not in table
    assert table["exclude_reason"].tolist() == [
        "", "", "",
        "run 'c', column 'model_size': '1.3 giga' is not a number",
        "stopped", "failed", "running: not finished",
    ]  # fmt: skip
    notes = table.attrs["notes"]
    assert "1 of 8 runs only hold others together and are left out: 'search'" in notes
    assert "2 runs are equal in all but their ids ('b', 'b again'); all kept" in notes
    assert "num_params is the column 'model_size'" in notes


def test_columns_are_stated_as_for_files(theirs):
    asked = {"loss": "1 - accuracy"}
    table = load_runs("theirs", tracking_uri=theirs, columns=asked, where="num_params < 1e9")
    assert table["loss"].tolist() == [0.5, 0.5, 0.5]
