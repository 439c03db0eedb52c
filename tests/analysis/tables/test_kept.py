"""A kept table, beside the one that is read anew, after whatever may happen to its store."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from analysis import load_runs
from analysis.tables import experiments, kept
from scaling.tracking import connect, store_state
from scaling.tracking.state import SETTLED, state_of
from tests.postgres import PASSWORD, PROGRAMS, Postgres


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


def checkpoint(store):
    """What a log holds goes into the file, and the next writes begin the log again."""
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")


def both(store, columns=None):
    """The table as it is asked for, and as it is without anything kept."""
    uri = store if isinstance(store, str) else f"sqlite:///{store}"
    asked = load_runs("e", tracking_uri=uri, columns=columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "kept", lambda uri, asked, make: make())
        patch.setattr(experiments, "read_values", lambda *_: {})
        patch.setattr(experiments, "write_values", lambda *_: None)
        anew = load_runs("e", tracking_uri=uri, columns=columns)
    assert told(asked) == told(anew)
    return asked


def rest(store):
    """Let the last write to a store, or to its log, be some seconds ago."""
    for file in (store, store.with_name(f"{store.name}-wal")):
        if file.exists() and time.time() - file.stat().st_mtime < SETTLED:
            os.utime(file, (time.time() - 10,) * 2)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("ours", [True, False])
def test_it_is_what_is_read_after_any_edit(store, ours, mode, monkeypatch):
    """Fifty edits in a row by MLflow's own client, now and then several at once."""
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode.lower(),)
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
        put_back if mode == "DELETE" else lambda: checkpoint(store),
    ]
    for number in range(50):
        rng.choice(edits)() if number >= len(edits) else edits[number]()
        if mode == "WAL" and rng.random() < 0.7:
            rest(store)
        if rng.random() < 0.7:
            both(store)
    rest(store)
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


def test_while_a_log_is_written_to_nothing_is_kept(store, cache):
    client = connect(f"sqlite:///{store}")
    fill(client, client.create_experiment("e"), 1, ours=True)
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        both(store)
        assert state_of(store) is None and not list(cache.glob("*"))
        rest(store)
        quiet = state_of(store)
        assert quiet and state_of(store) == quiet
        connection.execute("UPDATE latest_metrics SET value = value")
        connection.commit()
        assert state_of(store) is None
        rest(store)
        assert state_of(store) not in (None, quiet)


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
    cache.mkdir(parents=True)
    old, new = cache / ".of-a-killed-one.parquet.7", cache / ".being-written.parquet.8"
    for half in (old, new):
        half.touch()
    os.utime(old, (time.time() - 2 * kept.HALF,) * 2)
    for name in ("num_params", "num_tokens", "seed"):
        both(store, {name: "model.width"})
    new.unlink()
    assert len(list(cache.iterdir())) == 2


def spoilt(whole: bytes, rng: random.Random) -> bytes:
    """A file as a crash or a bad disk leaves it."""
    at = rng.randrange(len(whole))
    flipped = bytes([whole[at] ^ (1 << rng.randrange(8))])
    return rng.choice(
        [
            whole[:at],
            whole[:at] + bytes(len(whole) - at),
            whole[:at] + bytes(min(64, len(whole) - at)) + whole[at + 64 :],
            whole[:at] + flipped + whole[at + 1 :],
        ]
    )


def test_a_torn_file_is_never_believed(store, cache):
    client = connect(f"sqlite:///{store}")
    experiment = client.create_experiment("e")
    for number in range(4):
        fill(client, experiment, number, ours=True)
    both(store)
    rng = random.Random(0)
    for _ in range(100):
        table, values = (next(cache.glob(f"*.{kind}")) for kind in ("parquet", "json"))
        for file in (table, values):
            file.write_bytes(spoilt(file.read_bytes(), rng))
        both(store)


READER = """
import sys
from analysis import load_runs
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    table = load_runs("e", tracking_uri=sys.argv[1])
    assert len(table) == 12 and table["loss"].nunique() == 1, table["loss"].tolist()
"""


@pytest.mark.slow  # several readers, one killed now and then, beside a writer: nobody reads a lie
def test_processes_at_the_cache_at_once(store, cache):
    uri = f"sqlite:///{store}"
    client = connect(uri)
    experiment = client.create_experiment("e")
    for number in range(12):
        fill(client, experiment, number, ours=True)
    rng = random.Random(0)

    def start(times):
        command = [sys.executable, "-c", READER, uri, str(times)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        one = subprocess.Popen(command, text=True, **pipes)
        assert one.stdout.readline() == "ready\n"
        return one

    def go(one):
        one.stdin.write("\n")
        one.stdin.flush()

    def end(one, kill=False):
        if kill:
            one.kill()
        one.communicate()
        return one.returncode

    readers, doomed = [start(100) for _ in range(3)], start(10**6)
    for one in (*readers, doomed):
        go(one)
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection:
        while any(one.poll() is None for one in readers):
            loss = rng.random()
            connection.execute(
                "UPDATE latest_metrics SET value = ? WHERE key = 'final/loss'", (loss,)
            )
            connection.commit()
            time.sleep(rng.random() / 20)
            if rng.random() < 0.05:
                end(doomed, kill=True)
                doomed = start(10**6)
                go(doomed)
    end(doomed, kill=True)
    assert list(map(end, readers)) == [0, 0, 0]
    assert both(store)["loss"].unique().tolist() == [loss]


@pytest.mark.slow  # a real PostgreSQL: what its snapshots tell of edits, half-done ones too
@pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL here")
def test_of_postgresql_a_table_is_kept_while_its_snapshot_is_the_same(cache, monkeypatch):
    import psycopg2

    server = Postgres()
    try:
        server.create("lab")
        address = server.address("lab", PASSWORD)
        uri = address.replace("postgresql:", "postgresql+psycopg2:")
        client = connect(uri)
        experiment = client.create_experiment("e")
        runs = [fill(client, experiment, number, ours=bool(number % 2)) for number in range(4)]
        both(uri)
        with monkeypatch.context() as patch:
            patch.setattr(experiments, "stored_runs", None)
            assert len(load_runs("e", tracking_uri=uri)) == 4  # unchanged: it is not even read
        edits = [
            lambda: client.set_tag(runs[1], "scaling.family", "a"),
            lambda: client.log_metric(runs[1], "final/loss", 2.0, step=1),
            lambda: client.delete_run(runs[1]),
            lambda: client.restore_run(runs[1]),
            lambda: client.update_run(runs[1], status="KILLED"),
            lambda: fill(client, experiment, 9, ours=True),
        ]
        for edit in edits:
            before = store_state(uri)
            edit()
            assert store_state(uri) != before
            both(uri)
        with contextlib.closing(psycopg2.connect(address)) as slow, slow.cursor() as cursor:
            cursor.execute("UPDATE latest_metrics SET value = 7 WHERE key = 'final/loss'")
            assert 7.0 not in both(uri)["loss"].tolist()  # kept while that is not committed
            slow.commit()
            assert set(both(uri)["loss"]) == {7.0}
        assert PASSWORD.encode() not in b"".join(file.read_bytes() for file in cache.iterdir())
    finally:
        server.stop()
