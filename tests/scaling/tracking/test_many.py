"""Many runs at once, beside what MLflow's own client writes run by run."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from scaling.run.journal import Journal
from scaling.spec import RunSpec
from scaling.tracking import ship_many
from scaling.tracking.tracker import Tracker
from sweeps.sweep import Sweep

UUID = re.compile(r"[0-9a-f]{32}")
RUNS = 24


@pytest.fixture
def lines(tiny, tmp_path):
    """Runs of every kind that ends, with odd values and names."""
    rows = Sweep.of("s", [RunSpec.resolve(**{**tiny, "seed": n}) for n in range(RUNS)]).to_jsonl()
    found = []
    for number, text in enumerate(rows.splitlines()):
        row, run_dir = json.loads(text), tmp_path / "runs" / str(number)
        write(run_dir, number)
        found.append((run_dir, row))
    found[3][1]["flops_asked"] = 1e15
    found[4][1]["name"] = "é' \"quoted\"\n" + "long " * 40
    return found


def write(run_dir, number):
    born = 1000.0 + number / 7
    journal = Journal(run_dir)
    journal.append(event="start", attempt=1, time=born, host="h", device="cpu")
    for step in range(1, 700 if number == 5 else 12):
        loss = (math.inf, math.nan)[step % 2] if number % 4 == 1 and step > 8 else 6 - step / 9
        extra = {"program/acc@5": step / 3, "eval/other/loss": -0.0} if number % 3 else {}
        # Equal steps and times again and again: which is the latest is MLflow's to say.
        at = {"step": 128 * (step if step < 11 else 10), "seconds": min(step, 10) / 3}
        journal.append(event="point", loss=loss, train_loss=5.0, lr=1e-3, **at, **extra)
    if number % 3 == 2:
        journal.append(event="eval", step=64, time=born + 9, **{"eval/other/loss": 1.5})
    status = {1: "diverged", 6: "failed"}.get(number % 8, "done")
    reason = {} if status == "done" else {"reason": f"loss inf {number}"}
    values = {"loss": None if status == "diverged" else 3.0, "tokens": 1408, "seconds": 4.5}
    journal.append(event="end", status=status, time=born + 50, **values, **reason)
    journal.close()


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
            found[table] = sorted(re.sub(r"file://\S*/artifacts/s", "", one) for one in said)
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
