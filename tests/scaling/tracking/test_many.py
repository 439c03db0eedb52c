"""Many runs at once, beside what MLflow's own client writes run by run."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import threading

import pytest
from mlflow import MlflowClient

from scaling.tracking import TrackingError, connect, many, prepare, ship_many
from scaling.tracking.ready import ENVIRONMENT
from scaling.tracking.remote import takes_many
from scaling.tracking.tables import Tables
from scaling.tracking.tracker import Tracker
from tests.dying_server import Server
from tests.ended_runs import ended_runs

FILES = re.compile(r"file://\S*/artifacts/s|mlflow-artifacts:/\d+")
UUID = re.compile(r"[0-9a-f]{32}")
RUNS = 24


@pytest.fixture
def lines(tiny, tmp_path):
    return ended_runs(tiny, tmp_path / "runs", RUNS)


def everything(uri, *, without=()):
    """All rows of all tables, each with its run's id of ours in place of MLflow's."""
    connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
    names = dict(connection.execute("SELECT run_uuid, value FROM tags WHERE key='scaling.run_id'"))
    ids = dict(connection.execute("SELECT input_uuid, destination_id FROM inputs"))
    ids = {one: f"input of {names[run]}" for one, run in ids.items()} | names
    ids |= dict(connection.execute("SELECT dataset_uuid, name FROM datasets"))
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'"):
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()
        if table not in ("experiments", *without):  # its times are those of its making
            said = (UUID.sub(lambda m: ids.get(m[0], m[0]), repr(row)) for row in rows)
            found[table] = sorted(FILES.sub("", one) for one in said)
    connection.close()
    return found


@pytest.fixture
def two(empty_store, tmp_path):
    def make(name):
        (tmp_path / name).mkdir()
        shutil.copy(empty_store, tmp_path / name / "mlflow.db")
        return f"sqlite:///{tmp_path / name / 'mlflow.db'}"

    return make("one"), make("other")


def one_by_one(uri, lines):
    tracker = Tracker(uri, "s")
    for run_dir, row in lines:
        assert tracker.ship(run_dir, row, alive=False)


def test_the_tables_are_those_that_the_client_fills(two, lines, monkeypatch):
    for uri in two:
        Tracker(uri, "s").client.create_experiment("another")
    tracker = Tracker(two[1], "s")
    tracker.marks = {"scaling.git_commit": "0" * 40}
    tracker.colours = {lines[7][1]["run_id"]: "#440154"}
    slow = Tracker(two[0], "s")
    slow.marks, slow.colours = tracker.marks, tracker.colours
    for run_dir, row in lines:
        slow.ship(run_dir, row, alive=False)
    asked = []
    create = MlflowClient.create_run
    monkeypatch.setattr(
        MlflowClient, "create_run", lambda *a, **o: asked.append(o) or create(*a, **o)
    )
    ship_many(tracker, lines)
    assert len(asked) == 1  # the one that is looked at
    assert everything(two[1]) == everything(two[0])
    assert len(everything(two[0])["runs"]) == RUNS
    assert all(tracker.is_delivered(run_dir) for run_dir, _ in lines)
    monkeypatch.setattr(Tracker, "send", None)
    again = Tracker(two[1], "s")
    again.compare()
    for run_dir, row in lines:
        assert again.ship(run_dir, row, alive=False)
    assert again.again == 0


def stops_after(seconds, ship):
    """Whether a fork that ships was ended by the kernel after so much processor time."""
    child = os.fork()
    if not child:
        try:
            # The kernel ends it, as SIGKILL would: nothing cleans up.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            ship()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow  # a shipper that is killed again and again: each run is there once, and whole
def test_killed_at_any_point_nothing_is_lost_and_nothing_doubled(two, lines, monkeypatch):
    monkeypatch.setattr(many, "AT_ONCE", 5)
    one_by_one(two[0], lines)
    expected = everything(two[0])
    rng, killed, longest = random.Random(0), 0, 0.5

    def ship():
        tracker = Tracker(two[1], "s")
        ship_many(tracker, lines)
        for run_dir, row in lines:
            tracker.ship(run_dir, row, alive=False)

    while killed < 12:
        if stops_after(rng.uniform(0.01, longest), ship):
            killed += 1
        else:
            longest *= 0.8
        for run_dir, _ in rng.sample(lines, 2):  # and its notes may be lost too
            Tracker(two[1], "s").forget(run_dir)
    assert not stops_after(1000.0, ship)
    assert everything(two[1]) == expected


@pytest.mark.slow  # a real server that dies under several connections
def test_a_server_that_dies_again_and_again_has_each_run_once(two, lines, tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(many, "AT_ONCE", 8)
    one_by_one(two[0], lines)
    server, rng, missed = Server(two[1], tmp_path), random.Random(0), 0
    uri = f"http://127.0.0.1:{server.port}"
    try:
        server.anew()
        server.wait()
        prepare(uri, "s")
        assert not takes_many(uri)  # plain MLflow has no such route
        for i in range(6):  # it dies soon at first, before a fast machine has sent all
            end = threading.Timer(rng.uniform(0.05, 0.3 * (1 + i)), server.anew)
            end.start()
            try:
                ship_many(Tracker(uri, "s"), lines)
            except TrackingError:
                missed += 1
            end.join()
            server.wait()
        tracker = Tracker(uri, "s")
        ship_many(tracker, lines)
        for run_dir, row in lines:
            assert tracker.ship(run_dir, row, alive=False)
    finally:
        server.close()
    assert missed
    assert everything(two[1]) == everything(two[0])


@pytest.mark.parametrize("changed", ["a column", "a table", "a tag"])
def test_a_store_that_writes_otherwise_is_written_by_its_client_alone(
    two, lines, monkeypatch, changed
):
    """As a later MLflow may."""
    create = MlflowClient.create_run

    def create_otherwise(client, *arguments, **values):
        run = create(client, *arguments, **values)
        if changed == "a tag":
            client.set_tag(run.info.run_id, "mlflow.new", "1")
        else:
            words = {
                "a column": "UPDATE tags SET value = value || '!' WHERE run_uuid = ?",
                "a table": "INSERT INTO inputs SELECT hex(randomblob(16)), 'NEW', 'x', 'RUN', ?, 0",
            }[changed]
            with sqlite3.connect(two[1].removeprefix("sqlite:///")) as connection:
                connection.execute(words, (run.info.run_id,))
            connection.close()
        return run

    added = []
    add = Tables.add
    monkeypatch.setattr(Tables, "add", lambda *a: added.append(add(*a)) or added[-1])
    monkeypatch.setattr(MlflowClient, "create_run", create_otherwise)
    ship_many(Tracker(two[1], "s"), lines[:10])
    assert not added
    monkeypatch.setattr(MlflowClient, "create_run", create)
    ship_many(Tracker(two[0], "s"), lines[:10])
    assert [len(made) for made in added] == [9]


def test_what_the_store_has_in_part_or_has_deleted_is_left_to_the_client(two, lines):
    tracker = Tracker(two[0], "s")
    begun = tracker.create(lines[9][1], "1001.5") if tracker.client else ""
    gone = tracker.create(lines[10][1], "1002.5")
    tracker.client.delete_run(gone)
    ship_many(tracker, lines)
    assert [run_dir.name for run_dir, _ in lines if tracker.lacks(run_dir)] == ["9", "10"]
    client = connect(two[0])
    assert client.get_run(begun).data.params == {}
    assert len(client.search_runs([tracker.experiment_id])) == RUNS - 1


def test_none_is_made_like_a_run_that_was_deleted(two, lines):
    """Or all would be: in nobody's list, and believed to be shipped."""
    tracker = Tracker(two[0], "s")
    tracker.ship(*lines[0], alive=False)
    tracker.client.delete_run(tracker.noted_id(lines[0][0]))
    tracker.compare()
    ship_many(tracker, lines)
    found = connect(two[0]).search_runs([tracker.experiment_id])
    assert len(found) == RUNS - 1
