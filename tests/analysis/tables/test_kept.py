"""A kept table, beside the one that is read anew, after whatever may happen to its store."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from analysis import load_runs
from analysis.tables import experiments, kept
from scaling.tracking import connect


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return kept.folder()


@pytest.fixture
def store(empty_store, tmp_path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


def fill(client, experiment, number, ours):
    tags = {"scaling.run_id": f"r{number}", "scaling.status": "done", "scaling.family": "gpt"}
    run = client.create_run(
        experiment, 1000 + number, tags if ours else {"host": "a"}, f"n{number}"
    )
    run_id = run.info.run_id
    client.log_param(run_id, "model.width", str(16 * (number % 3)))
    for key, value in {"scale/num_params": 10.0 + number, "final/loss": 3.0, "loss": 2.5}.items():
        client.log_metric(run_id, key, value, step=1, timestamp=1)
    client.set_terminated(run_id, "FINISHED", 5000)
    return run_id


def told(frame):
    """A table as text, with the kinds of its columns and what it says of itself."""
    attrs = {key: value for key, value in frame.attrs.items() if key != "texts"}
    return frame.to_json(), list(map(str, frame.dtypes)), list(frame.index), repr(attrs)


def both(store, columns=None):
    """The table as it is asked for, and as it is without anything kept."""
    uri = f"sqlite:///{store}"
    asked = load_runs("e", tracking_uri=uri, columns=columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "kept", lambda uri, asked, make: make())
        patch.setattr(experiments, "read_values", lambda *_: {})
        patch.setattr(experiments, "write_values", lambda *_: None)
        anew = load_runs("e", tracking_uri=uri, columns=columns)
    assert told(asked) == told(anew)
    return asked


@pytest.mark.parametrize("ours", [True, False])
def test_it_is_what_is_read_after_any_edit(store, ours, monkeypatch):
    """Fifty edits in a row by MLflow's own client, now and then several at once."""
    client = connect(f"sqlite:///{store}")
    experiment = client.create_experiment("e")
    runs = [fill(client, experiment, number, ours) for number in range(6)]
    backup = store.with_name("backup.db")
    shutil.copy2(store, backup)
    rng, deleted, asked = random.Random(ours), [], []
    read = experiments.stored_runs
    monkeypatch.setattr(experiments, "stored_runs", lambda *a: asked.append(a[2:]) or read(*a))

    def delete():
        deleted.append(runs.pop(rng.randrange(len(runs))))
        client.delete_run(deleted[-1])

    def restore():
        if deleted:
            runs.append(deleted.pop())
            client.restore_run(runs[-1])

    def put_back():
        os.utime(backup, ns=(store.stat().st_atime_ns, store.stat().st_mtime_ns))
        shutil.copy2(backup, store)  # as rsync does: its times are those of before
        experiments_runs = client.search_runs([experiment])
        runs[:], deleted[:] = [run.info.run_id for run in experiments_runs], []

    edits = [
        delete,
        restore,
        lambda: runs.append(fill(client, experiment, rng.randrange(100), ours)),
        lambda: client.set_tag(rng.choice(runs), "scaling.family", rng.choice("abc")),
        lambda: client.set_tag(rng.choice(runs), "host", str(rng.randrange(9))),
        lambda: client.log_param(rng.choice(runs), f"optim.p{rng.randrange(999)}", "0.5"),
        lambda: client.log_metric(rng.choice(runs), "final/loss", rng.random(), step=1),
        lambda: client.log_metric(rng.choice(runs), "loss", float("nan"), step=2),
        lambda: client.update_run(rng.choice(runs), name=f"é{rng.randrange(99)}"),
        lambda: client.update_run(rng.choice(runs), status="KILLED"),
        put_back,
    ]
    for number in range(50):
        rng.choice(edits)() if number >= len(edits) else edits[number]()
        if rng.random() < 0.7:
            both(store)
    both(store)
    assert any(of and len(of[0]) < 3 for of in asked) == ours  # only what changed
    monkeypatch.setattr(experiments, "stored_runs", None)
    load_runs("e", tracking_uri=f"sqlite:///{store}")  # unchanged: it is not even read


def test_what_is_asked_and_the_code_and_a_deleted_experiment_count_too(store, monkeypatch):
    client = connect(f"sqlite:///{store}")
    experiment = client.create_experiment("e")
    for number in range(3):
        fill(client, experiment, number, ours=False)
    both(store)
    assert both(store, {"num_params": "model.width"})["num_params"].max() == 32
    monkeypatch.setattr(experiments, "stored_runs", lambda *_: [])
    assert len(load_runs("e", tracking_uri=f"sqlite:///{store}")) == 3
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_code", lambda *_: "of another version")
        assert len(load_runs("e", tracking_uri=f"sqlite:///{store}")) == 0
    monkeypatch.undo()
    client.delete_experiment(experiment)
    with pytest.raises(ValueError, match="no experiment 'e'"):
        load_runs("e", tracking_uri=f"sqlite:///{store}")
    client.restore_experiment(experiment)
    assert len(both(store)) == 3


@pytest.mark.parametrize("spoiled", ["cut", "foreign", "unwritable", "a folder"])
def test_a_file_that_is_no_kept_table_is_as_good_as_none(store, cache, spoiled):
    client = connect(f"sqlite:///{store}")
    fill(client, client.create_experiment("e"), 1, ours=True)
    if spoiled == "unwritable":
        cache.parent.write_text("no folder")
    both(store)
    for file in cache.glob("*") if cache.is_dir() else ():
        if spoiled == "cut":
            file.write_bytes(file.read_bytes()[:-9])
        elif spoiled == "foreign":
            pd.DataFrame({"loss": [9.0]}).to_parquet(file)
            if file.suffix == ".json":
                file.write_text("{}\n{}\n")
        else:
            file.unlink()
            file.mkdir()
    assert both(store)["loss"].tolist() == [3.0]


def test_with_a_log_of_writes_beside_it_nothing_is_kept(store, cache):
    client = connect(f"sqlite:///{store}")
    fill(client, client.create_experiment("e"), 1, ours=True)
    with sqlite3.connect(store) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    connection.close()
    both(store)
    assert kept.state_of(store) is None and not list(cache.glob("*"))


def test_what_changed_while_it_was_read_is_not_kept(store, cache, monkeypatch):
    client = connect(f"sqlite:///{store}")
    experiment = client.create_experiment("e")
    fill(client, experiment, 1, ours=True)
    read = experiments.stored_runs

    def meanwhile(*asked):
        runs = read(*asked)
        fill(client, experiment, 2, ours=True)
        return runs

    with monkeypatch.context() as patch:
        patch.setattr(experiments, "stored_runs", meanwhile)
        assert len(load_runs("e", tracking_uri=f"sqlite:///{store}")) == 1
    assert len(both(store)) == 2


def test_only_the_newest_are_kept(store, cache, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 2)
    client = connect(f"sqlite:///{store}")
    fill(client, client.create_experiment("e"), 1, ours=False)
    for name in ("num_params", "num_tokens", "seed"):
        both(store, {name: "model.width"})
    assert len(list(cache.iterdir())) == 2
