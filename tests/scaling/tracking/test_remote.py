"""What a server does with a request for many runs, whoever sends it."""

from __future__ import annotations

import json
import math
import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_batch_log_data
from sqlalchemy import create_engine, event

from scaling.run import read_journal
from scaling.tracking import TrackingError, answer, connect
from scaling.tracking.content import OURS, content_of, new_tags
from scaling.tracking.remote import Asked, _document, takes_many
from scaling.tracking.tables import NewRun
from scaling.tracking.tracker import Tracker
from scaling.tracking.values import born_of, start_of
from tests.ended_runs import ended_runs


@pytest.fixture
def asked(tiny, tmp_path, empty_store):
    """A request for six runs of which MLflow's client has made the first; its store."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "s")
    lines = ended_runs(tiny, tmp_path / "runs", 7)
    tracker.ship(*lines[0], alive=False)
    runs = []
    for run_dir, row in lines:
        events = read_journal(run_dir)
        tags, content = new_tags(row, born_of(events), {}, {}), content_of(row, events)
        start = start_of(born_of(events))
        runs.append(NewRun(row["run_id"], row["name"], start, tags, content))
    made = tracker.noted_id(lines[0][0])
    return Asked(tracker.experiment_id, made, runs[0], runs[1:]), tracker.uri


def send(uri, asked, **changed):
    """The answer at a store to the request as JSON brings it."""
    document = json.loads(_document().dump_json(asked)) | changed
    engine = create_engine(uri)
    try:
        return answer(engine.connect, document)
    finally:
        engine.dispose()


def runs_of(uri):
    client = connect(uri)
    ids = [one.experiment_id for one in client.search_experiments()]
    return [run.data.tags.get(OURS) for run in client.search_runs(ids)]


def test_the_same_request_twice_makes_each_run_once(asked):
    request, uri = asked
    first, second = send(uri, request), send(uri, request)
    assert first["agrees"] and second == {"agrees": True, "made": {}}
    assert sorted(first["made"]) == sorted(run.run_id for run in request.runs)
    assert sorted(runs_of(uri)) == sorted([request.example.run_id, *first["made"]])


def test_all_or_nothing(asked):
    """The last of its statements fails, as a server that dies before the end."""
    request, uri = asked
    engine = create_engine(uri)

    @event.listens_for(engine, "before_cursor_execute")
    def fail(connection, cursor, statement, values, context, many):
        if "INTO input_tags" in statement and len(values) > 4:  # not those of the example alone
            raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        answer(engine.connect, json.loads(_document().dump_json(request)))
    engine.dispose()
    assert runs_of(uri) == [request.example.run_id]
    assert len(send(uri, request)["made"]) == 6


def changed(run, what):
    said = run.content
    content = {
        "metric": {"values": [*said.values, ("a;b", 1.0, 1.0, 1)]},
        "metric path": {"values": [*said.values, ("../a", 1.0, 1.0, 1)]},
        "step": {"values": [*said.values, ("a", 1.0, 1.0, 1 << 63)]},
        "time": {"values": [*said.values, ("a", 1.0, 1e300, 1)]},
        "value": {"values": [*said.values, ("a", math.inf, 1.0, 1)]},
        "param": {"params": {**said.params, "a" * 251: "1"}},
        "long": {"params": {**said.params, "a": "b" * 6001}},
        "nul": {"params": {**said.params, "a": "b\0"}},
        "tag": {"tags": {**said.tags, "a=b": "1"}},
        "name": {"tags": {**said.tags, "mlflow.runName": "another"}},
        "status": {"status": "EVIL"},
        "alive": {"status": "RUNNING"},
        "endless": {"ended": None},
    }.get(what)
    if content:
        return replace(run, content=replace(said, **content))
    return replace(run, tags={**run.tags, OURS: "another"})


KINDS = ["metric", "metric path", "step", "time", "value", "param", "long", "nul", "tag", "name",
         "status", "alive", "endless", "identity"]  # fmt: skip


def test_a_run_that_mlflow_would_refuse_or_change_is_not_made(asked):
    request, uri = asked
    for what in KINDS:
        one = replace(request, runs=[changed(request.runs[0], what)])
        document = json.loads(_document().dump_json(one))
        if what == "value":
            document["runs"][0]["content"]["values"][-1][1] = math.inf  # Python's JSON has it
        assert send(uri, one, runs=document["runs"]) == {"agrees": True, "made": {}}, what
    assert runs_of(uri) == [request.example.run_id]
    assert len(send(uri, request)["made"]) == 6


def test_what_mlflow_refuses_is_among_these(asked):
    from mlflow.entities import Metric, Param, RunTag

    request, _ = asked
    for what in ("metric", "metric path", "param", "tag"):
        said = changed(request.runs[0], what).content
        metrics = [Metric(key, value, round(1000 * s), n) for key, value, s, n in said.values]
        params = [Param(*pair) for pair in said.params.items()]
        with pytest.raises(MlflowException):
            _validate_batch_log_data(metrics, params, [RunTag(*p) for p in said.tags.items()])


OTHER_FORMS = [
    ({"experiment_id": "01"}, "'01' is no id of an experiment"),
    ({"experiment_id": "\uff11"}, "is no id of an experiment"),
    ({"experiment_id": "1 OR 1=1"}, "is no id of an experiment"),
    ({"experiment_id": 1}, "valid string"),
    ({"run_id": None}, "valid string"),
    ({"runs": None}, "runs"),
    ({"runs": [{"run_id": "x"}]}, "required"),
    ({"runs": [7]}, "runs.0"),
    ({"example": {}}, "required"),
]


def test_a_document_of_another_form_is_refused(asked):
    request, uri = asked
    for change, said in OTHER_FORMS:
        with pytest.raises(ValueError, match=said):
            send(uri, request, **change)
    twice = replace(request, runs=[request.runs[0]] * 2)
    with pytest.raises(ValueError, match="there twice"):
        send(uri, twice)
    for nothing in (None, [], "runs", 7):
        with pytest.raises(ValueError, match="validation error"):
            answer(lambda: None, nothing)
    assert runs_of(uri) == [request.example.run_id]


@pytest.mark.parametrize("kind", ["of another experiment", "deleted", "none", "unlike"])
def test_the_run_that_is_copied_is_the_experiments_own(asked, kind):
    """Or a row's owner and its folder of files would be another's."""
    request, uri = asked
    client = connect(uri)
    if kind == "of another experiment":
        request = replace(request, experiment_id=client.create_experiment("other"))
    elif kind == "deleted":
        client.delete_run(request.run_id)
    elif kind == "none":
        request = replace(request, run_id="' OR '1'='1")
    else:
        client.set_tag(request.run_id, "mlflow.new", "1")
    assert send(uri, request) == {"agrees": False, "made": {}}
    assert set(runs_of(uri)) <= {request.example.run_id}


class Page(BaseHTTPRequestHandler):
    """A server of something else: a page for each path, or a word that there is none."""

    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *words):
        pass


@pytest.mark.parametrize("code", [200, 404, 405, 500])
def test_a_server_of_another_kind_has_no_route(code, monkeypatch):
    monkeypatch.setattr(Page, "status", code)
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert not takes_many(f"http://127.0.0.1:{server.server_port}")
        thread.join()  # it was asked once
    assert not takes_many("postgresql://127.0.0.1:9/x")  # nobody is asked


def test_who_may_not_ask_and_a_server_that_is_away_are_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="does not answer"):
        takes_many("http://127.0.0.1:9")
    monkeypatch.setattr(Page, "status", 401)
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(TrackingError, match="refuses who asks"):
            takes_many(f"http://127.0.0.1:{server.server_port}")
        thread.join()
