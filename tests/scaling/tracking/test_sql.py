"""Runs and curves read from the tables, beside what MLflow's own client says of the same store."""

from __future__ import annotations

import math
import shutil

import pytest

from scaling.tracking import TrackingError, connect, experiments, histories, stored_runs
from scaling.tracking.sql import is_sql, prints_in


@pytest.fixture
def theirs(empty_store, tmp_path) -> str:
    """A store with what a client can write into it."""
    shutil.copy(empty_store, tmp_path / "theirs.db")
    uri = f"sqlite:///{tmp_path / 'theirs.db'}"
    client = connect(uri)
    gone = client.create_experiment("gone")
    client.create_run(gone, run_name="of it")
    client.delete_experiment(gone)
    client.create_run(client.create_experiment("other"), run_name="of another")
    one = client.create_experiment("one")
    for number in range(7):
        run = client.create_run(
            one, start_time=1000 - number, run_name=f"r {number} é'"
        ).info.run_id
        client.set_tag(run, "note", "a\nb" if number % 2 else "")
        client.log_param(run, "width", str(64 * number))
        for step in (3, 1, 2):
            client.log_metric(run, "loss", 2.0 + step / 3, step=step, timestamp=10 * step)
        client.log_metric(run, "odd", (math.nan, math.inf, -math.inf)[number % 3], step=number)
        client.set_terminated(run, ("FINISHED", "FAILED", "KILLED")[number % 3], end_time=5000)
    deleted = client.create_run(one).info.run_id
    client.delete_run(deleted)
    back = client.create_run(one, start_time=2000).info.run_id
    client.log_metric(back, "loss", 1.0)
    client.delete_run(back)
    client.restore_run(back)
    report = client.create_run(one, tags={"scaling.kind": "report"}).info.run_id
    client.set_terminated(report)
    return uri


def through_the_client(monkeypatch):
    for module in (experiments, __import__("scaling.tracking.histories", fromlist=["_"])):
        monkeypatch.setattr(module, "is_sql", lambda uri: False)


def plain(run):
    values = {k: str(v) for k, v in run.metrics.items()}  # NaN is not itself
    times = run.start_time, run.end_time
    return run.run_id, run.name, run.status, *times, dict(run.tags), dict(run.params), values


def test_it_is_what_the_client_reads(theirs, monkeypatch):
    runs = stored_runs(theirs, "one")
    found = histories(theirs, runs, {"loss", "odd"})
    assert len(runs) == 8
    assert [step for step, _ in found[runs[0].run_id]["loss"]] == [1, 2, 3]
    assert experiments.has_experiment(theirs, "one")
    assert not experiments.has_experiment(theirs, "gone")
    through_the_client(monkeypatch)
    asked = stored_runs(theirs, "one")
    assert list(map(plain, runs)) == list(map(plain, asked))
    assert str(found) == str(histories(theirs, asked, {"loss", "odd"}))


@pytest.mark.parametrize("name", ["none", "gone"])
def test_an_experiment_that_is_not_there(theirs, name):
    with pytest.raises(ValueError, match=f"no experiment '{name}'; it has Default, one, other"):
        stored_runs(theirs, name)


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "notes.db").write_text("not a database, " * 99)
    with pytest.raises(TrackingError, match=r"does not answer: .*not a database"):
        stored_runs(f"sqlite:///{tmp_path / 'notes.db'}", "one")
    shutil.copy(tmp_path / "notes.db", tmp_path / "none.db")
    (tmp_path / "none.db").write_bytes(b"")
    with pytest.raises(TrackingError, match=r"does not answer: .*no such table"):
        stored_runs(f"sqlite:///{tmp_path / 'none.db'}", "one")


def test_runs_whose_keys_and_values_run_together_have_other_prints(empty_store, tmp_path):
    shutil.copy(empty_store, tmp_path / "close.db")
    uri = f"sqlite:///{tmp_path / 'close.db'}"
    client = connect(uri)
    one = client.create_experiment("one")
    said = [({"a1": 2.0}, {}), ({"a": 12.0}, {}), ({"a": math.nextafter(12, 13)}, {}),
            ({}, {"a": "1','b'2"}), ({}, {"a": "1", "b": "2"}), ({}, {"a": "1,b'2"})]  # fmt: skip
    runs = []
    for metrics, params in said:
        run = client.create_run(one, start_time=1, run_name="r").info.run_id
        for key, value in metrics.items():
            client.log_metric(run, key, value, step=0, timestamp=0)
        for key, text in params.items():
            client.log_param(run, key, text)
        runs.append(run)
    found = prints_in(uri, "one")
    assert sorted(found) == sorted(runs) and len({*found.values()}) == len(said)


def test_which_addresses_are_of_databases():
    told = {"sqlite:///a.db": True, "postgresql+psycopg2://u:p@h/db": True, "mysql://h/db": True,
            "http://localhost:5000": False, "file:///runs": False, "databricks": False}  # fmt: skip
    assert {uri: is_sql(uri) for uri in told} == told
