"""A team's server as it runs: many runs in one request, beside the same run by run."""

from __future__ import annotations

import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from mlflow import MlflowClient

from cluster.tracking.database import make_ready
from scaling.run import read_journal
from scaling.tracking import (
    LARGEST,
    ROUTE,
    Tracker,
    TrackingError,
    UnsureError,
    connect,
    many,
    ship_many,
)
from scaling.tracking.content import OURS
from scaling.tracking.many import Ended
from scaling.tracking.ready import ENVIRONMENT
from scaling.tracking.remote import Remote, takes_many
from tests.dying_server import Server
from tests.ended_runs import ended_runs
from tests.postgres import PASSWORD, PROGRAMS, Postgres

pytestmark = [
    pytest.mark.slow,  # a real server on a real PostgreSQL
    pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL here"),
]
ADMIN, RUNS, KILLS = "s3cret-of-the-admin", 16, 20
PLACE = re.compile(r"mlflow-artifacts:/\d+/")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The server and its PostgreSQL."""
    postgres = Postgres()
    postgres.create("lab")
    address = f"postgresql+psycopg2://mlflow@127.0.0.1:{postgres.port}/lab"
    make_ready(address, PASSWORD, upgrade=False)
    server = Server(address, tmp_path_factory.mktemp("served"), ADMIN)
    server.anew()
    server.wait()
    yield server, postgres
    server.close()
    postgres.stop()


@pytest.fixture
def uri(served, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return f"http://admin:{ADMIN}@127.0.0.1:{served[0].port}"


@pytest.fixture
def lines(tiny, tmp_path):
    return ended_runs(tiny, tmp_path / "runs", RUNS)


def one_by_one(uri, name, lines):
    tracker = Tracker(uri, name)
    for run_dir, row in lines:
        assert tracker.ship(run_dir, row, alive=False)
    return tracker.experiment_id


def rows_of(postgres, number):
    """All rows of the tables of runs, of one experiment, by our ids."""
    runs = postgres.ask(
        "SELECT run_uuid, value FROM runs JOIN tags USING (run_uuid) "
        f"WHERE key = '{OURS}' AND experiment_id = {number}",
        "lab",
    )
    found, names = {}, dict(runs)
    assert len(set(names.values())) == len(names)
    for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
        rows = postgres.ask(f"SELECT row_to_json(t) FROM {table} t", "lab")
        found[table] = sorted(
            PLACE.sub("", json.dumps({**row, "experiment_id": 0}, sort_keys=True)).replace(
                row["run_uuid"], names[row["run_uuid"]]
            )
            for (row,) in rows
            if row["run_uuid"] in names
        )
    return found


def read(client, number):
    """What MLflow's interface says of an experiment's runs, field by field."""
    found = {}
    for run in client.search_runs([number]):
        own = run.info.run_id
        said = {
            "info": {**dict(run.info), "experiment_id": "", "run_uuid": "", "run_id": ""},
            "data": run.data.to_dictionary(),
            "inputs": [(dict(one.dataset), [dict(tag) for tag in one.tags])
                       for one in client.get_run(own).inputs.dataset_inputs],
            "histories": {key: [dict(point) for point in client.get_metric_history(own, key)]
                          for key in run.data.metrics},
        }  # fmt: skip
        text = PLACE.sub("", json.dumps(said, sort_keys=True, default=str))
        found[run.data.tags[OURS]] = text.replace(own, "")
    return found


def test_runs_read_the_same_however_they_came(served, uri, lines, monkeypatch):
    slow, tracker = one_by_one(uri, "slow", lines), Tracker(uri, "fast")
    asked, create = [], MlflowClient.create_run
    monkeypatch.setattr(
        MlflowClient, "create_run", lambda *a, **o: asked.append(o) or create(*a, **o)
    )
    ship_many(tracker, lines)
    assert len(asked) == 1  # that with which the others are compared
    client = connect(uri)
    by_many, by_one = read(client, tracker.experiment_id), read(client, slow)
    assert len(by_one) == RUNS and '"mlflow.data.context"' in min(by_one.values())
    assert by_many == by_one
    assert rows_of(served[1], tracker.experiment_id) == rows_of(served[1], slow)
    assert all(tracker.is_delivered(run_dir) for run_dir, _ in lines)


def test_it_asks_for_the_rights_that_mlflow_asks_for(served, uri, lines):
    own, other = one_by_one(uri, "own", lines[:1]), one_by_one(uri, "other", lines[:1])
    client, grant = connect(uri), "3.0/mlflow/users/permissions/grant"
    (run,), (others,) = client.search_runs([own]), client.search_runs([other])

    def tell(path, **words):
        requests.post(f"{uri}/api/{path}", json=words, timeout=60).raise_for_status()

    for name, rights in {"ann": ("EDIT", "READ"), "bob": ("READ", "EDIT")}.items():
        tell("2.0/mlflow/users/create", username=name, password=f"{name}-password")
        for number, right in zip((own, other), rights, strict=True):
            what = {"resource_type": "experiment", "resource_id": number, "permission": right}
            tell(grant, username=name, **what)
    place = f"http://127.0.0.1:{served[0].port}"

    def code(user, experiment=own, like=run, path=ROUTE, **options):
        asked = {"experiment_id": experiment, "run_id": like.info.run_id, "runs": []}
        auth = (user, ADMIN if user == "admin" else f"{user}-password") if user else None
        options = {"json": asked, **options}
        return requests.post(f"{place}{path}", auth=auth, timeout=60, **options).status_code

    create = "/api/2.0/mlflow/runs/create"
    for user, wanted in {"": 401, "eve": 401, "bob": 403}.items():
        assert [code(user), code(user, path=create)] == [wanted, wanted], user
    # A 400 is of a document that is looked at: it has no example.
    assert [code("ann"), code("admin"), code("bob", other, others)] == [400, 400, 400]
    assert code("ann", other, others) == 403
    assert code("ann", own, others) == 403  # no copy of what she may only read
    assert code("ann", f"0{own}") == code("ann", f"0{own}", path=create) == 403
    assert code("ann", headers={"Host": "evil.org"}) == 403
    assert code("ann", headers={"Origin": "https://evil.org"}) == 403
    assert code("admin", json=None, data="runs") == code("admin", json=[7]) == 400
    assert (
        code("admin", json=None, data="{" * 99, headers={"Content-Type": "application/json"}) == 400
    )
    big = {"experiment_id": own, "run_id": run.info.run_id, "runs": "x" * LARGEST}
    assert code("ann", json=big) == code("admin", json=big) == 413
    assert requests.get(f"{place}{ROUTE}", timeout=60).status_code == 401
    assert takes_many(uri)
    assert len(client.search_runs([own, other])) == 2


def test_the_same_request_four_times_at_once_makes_each_run_once(served, uri, lines):
    """As one whose answer was lost while the server is still at work, and those of later looks."""
    number = one_by_one(uri, "lost", lines[:1])
    tracker = Tracker(uri, "lost")
    runs = [Ended(*line, read_journal(line[0]), 0).new(tracker) for line in lines]
    asked = Remote(uri, number, tracker.noted_id(lines[0][0]))
    assert asked.agrees(runs[0])
    with ThreadPoolExecutor(4) as pool:
        made = [*pool.map(asked.add, [runs[1:]] * 4)]
    assert sorted(map(len, made)) == [0, 0, 0, RUNS - 1]
    assert len(connect(uri).search_runs([number])) == RUNS


def test_a_server_that_dies_twenty_times_has_each_run_once_and_whole(
    served, uri, lines, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(many, "AT_ONCE", 8)
    server, postgres = served
    truth, rng = one_by_one(uri, "truth", lines), random.Random(0)
    missed = []
    for i in range(KILLS):
        tracker = Tracker(uri, f"killed {i % 5}")
        assert tracker.client
        for run_dir, _ in rng.sample(lines, 8):  # notes may be lost too
            tracker.forget(run_dir)
        end = threading.Timer(rng.uniform(0.0, 0.2 * (1 + i % 4)), server.anew)
        end.start()
        try:
            ship_many(tracker, lines)
        except TrackingError as error:
            missed.append(type(error))
        end.join()
        server.wait()
    assert missed.count(UnsureError) >= 2, missed  # it died before it had answered for many
    for name in range(5):
        tracker = Tracker(uri, f"killed {name}")
        ship_many(tracker, lines)
        for run_dir, row in lines:
            assert tracker.ship(run_dir, row, alive=False)
        assert rows_of(postgres, tracker.experiment_id) == rows_of(postgres, truth)
