"""Journals to MLflow: everything, once, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from scaling.run.journal import JOURNAL, Journal
from scaling.spec import RunSpec
from scaling.tracking.errors import DeletedError, TrackingError
from scaling.tracking.ready import ENVIRONMENT, connect, prepare
from scaling.tracking.report import log_report
from scaling.tracking.tracker import Tracker
from scaling.tracking.values import CURVE_METRICS, swept
from scaling.tracking.view import VIEW_TAG, colours
from sweeps.sweep import Sweep

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@pytest.fixture
def uri(store_ready):
    return store_ready


@pytest.fixture
def row(tiny):
    """The line of a run in a sweep's file."""
    return json.loads(Sweep.of("s", [RunSpec.resolve(**tiny)]).to_jsonl())


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


def write(run_dir, *events):
    journal = Journal(run_dir)
    for event in events:
        journal.append(**event)
    journal.close()


def start(attempt=1, at=1000.0):
    return {"event": "start", "attempt": attempt, "time": at}


def point(step):
    loss = 6.0 - step / 1000
    values = {"loss": loss, "train_loss": loss + 0.1, "lr": 0.01, "seconds": step / 100}
    return {"event": "point", "step": step, **values}


DONE = {"event": "end", "status": "done", "loss": 3.25, "loss_se": 0.01, "tokens": 8192}
DONE = {**DONE, "seconds": 4.0, "time": 1005.0}


def runs_of(uri, experiment="s"):
    client = connect(uri)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id])


def curve(uri, run, column="loss"):
    history = connect(uri).get_metric_history(run.info.run_id, CURVE_METRICS[column])
    return [(p.step, p.value) for p in history]


def test_a_run_is_shipped_whole(uri, run_dir, row):
    write(run_dir, start(), point(100), point(200), DONE)
    assert Tracker(uri, "s").ship(run_dir, row, alive=False) is True
    (run,) = runs_of(uri)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == row["name"]
    assert (run.info.start_time, run.info.end_time) == (1_000_000, 1_005_000)
    params, metrics, tags = run.data.params, run.data.metrics, run.data.tags
    assert params["run_id"] == row["run_id"]
    assert params["model.width"] == "8"
    assert params["optim.lr"] == "0.01"
    assert params["data.data"] == "tiny"
    assert {"family", "seed", "schedule.cooldown_fraction"} <= set(params)
    expected = {"kind": "run", "status": "done", "sweep": "s", "family": "transformer"}
    assert {k: tags[f"scaling.{k}"] for k in expected} == expected
    assert metrics["scale/num_tokens"] == row["num_tokens"]
    for letter, column in {"N": "num_params", "D": "num_tokens", "C": "flops"}.items():
        assert metrics[f"scale/log10_{letter}"] == pytest.approx(math.log10(row[column]))
    assert {k: metrics[f"final/{k}"] for k in ("loss", "loss_se", "tokens")} == {
        "loss": 3.25,
        "loss_se": 0.01,
        "tokens": 8192,
    }
    assert curve(uri, run) == [(100, 5.9), (200, 5.8)]
    assert curve(uri, run, "train_loss") == [(100, 6.0), (200, pytest.approx(5.9))]
    first = connect(uri).get_metric_history(run.info.run_id, "heldout/loss")[0]
    assert first.timestamp == 1_001_000


def test_a_run_has_its_data_set_its_place_and_what_it_took(uri, run_dir, row):
    """MFU by hand: FLOPs over seconds, devices and the H100's 989 TFLOP/s."""
    tracker = Tracker(uri, "s")
    tracker.marks = {"scaling.git_commit": "0" * 40}
    card = {"device": "cuda:0", "card": "NVIDIA H100 80GB HBM3", "arithmetic": "bfloat16"}
    write(run_dir, {**start(), **card, "job": "12_3", "processes": 2}, DONE)
    tracker.ship(run_dir, {**row, "flops_asked": 2.5e19}, alive=False)
    (run,) = runs_of(uri)
    assert run.data.tags["scaling.budget"] == "2.5e+19"
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("tiny", row["spec"]["data"]["fingerprint"])
    assert run.data.tags["scaling.job"] == "12_3"
    assert run.data.tags["scaling.git_commit"] == "0" * 40
    metrics = run.data.metrics
    assert metrics["final/tokens_per_second"] == 8192 / 4
    assert metrics["final/kwh_estimated"] == pytest.approx(4 / 3600 * 2 * 0.4 * 1.58)
    flops = row["flops_exact"] * 8192 / row["num_tokens"]
    assert metrics["final/mfu"] == pytest.approx(flops / 4 / 2 / 989e12)
    found = connect(uri).search_runs([run.info.experiment_id], "dataset.name = 'tiny'")
    assert [one.info.run_id for one in found] == [run.info.run_id]


def test_a_call_that_ended_within_a_step_leaves_none_of_it_out(uri, run_dir, row, monkeypatch):
    """A call takes 1000 values, and the store may go away between two."""
    columns = {f"program/{name}": 1.0 for name in "abc"}
    steps = range(128, 128 * 301, 128)
    write(run_dir, start(), *({**point(step), **columns} for step in steps))
    calls = []
    log_batch = MlflowClient.log_batch

    def one_call(client, *args, **values):
        if calls:
            raise MlflowException("gone")
        calls.append(values["metrics"])
        log_batch(client, *args, **values)

    with monkeypatch.context() as patch, pytest.raises(TrackingError, match="gone"):
        patch.setattr(MlflowClient, "log_batch", one_call)
        Tracker(uri, "s").ship(run_dir, row, alive=True)
    assert calls[0][-1].key != "train/seconds"  # it ended within a step
    assert Tracker(uri, "s").ship(run_dir, row, alive=True) is False
    (run,) = runs_of(uri)
    for metric in ("program/a", "program/b", "program/c", "heldout/loss", "train/seconds"):
        history = connect(uri).get_metric_history(run.info.run_id, metric)
        assert [p.step for p in history] == list(steps), metric


def test_a_run_is_made_by_one_request_whatever_a_user_lets_mlflow_repeat(row, run_dir, monkeypatch):
    """Its answer may be lost, when the run is there."""
    monkeypatch.setenv(RETRIES, "3")
    asked = []

    class Dying(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("runs/search"):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")
            self.close_connection = True

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            tags = [{"key": VIEW_TAG, "value": "x"}]
            found = {"experiment_id": "1", "name": "s", "lifecycle_stage": "active", "tags": tags}
            self.wfile.write(json.dumps({"experiment": found}).encode())

        def log_message(self, *_):
            pass

    write(run_dir, start(), point(100))
    with ThreadingHTTPServer(("127.0.0.1", 0), Dying) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(TrackingError):
                tracker = Tracker(f"http://127.0.0.1:{server.server_port}", "s")
                tracker.ship(run_dir, row, alive=True)
        finally:
            server.shutdown()
    assert sum(path.endswith("runs/create") for path in asked) == 1


def test_nothing_is_there_before_a_run_begins(uri, run_dir, row):
    assert Tracker(uri, "s").ship(run_dir, row, alive=True) is None
    assert connect(uri).get_experiment_by_name("s") is None


def test_shipping_goes_on_where_it_was(uri, run_dir, row):
    tracker = Tracker(uri, "s")
    write(run_dir, start(), point(100))
    assert tracker.ship(run_dir, row, alive=True) is False
    assert runs_of(uri)[0].info.status == "RUNNING"
    write(run_dir, point(200))
    assert tracker.ship(run_dir, row, alive=False) is False
    assert runs_of(uri)[0].info.status == "KILLED"
    assert not tracker.is_delivered(run_dir)
    write(run_dir, start(2, 2000.0), point(300))
    assert tracker.ship(run_dir, row, alive=True) is False
    assert runs_of(uri)[0].info.status == "RUNNING"
    write(run_dir, DONE)
    assert tracker.ship(run_dir, row, alive=True) is True
    assert tracker.is_delivered(run_dir)
    (run,) = runs_of(uri)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(uri, run)] == [100, 200, 300]


@pytest.mark.parametrize("kept", ["an old position", "no position"])
def test_a_shipper_that_died_before_noting_its_position_doubles_nothing(uri, run_dir, row, kept):
    write(run_dir, start(), point(100))
    Tracker(uri, "s").ship(run_dir, row, alive=True)
    (noted,) = run_dir.glob("shipped-*.json")
    before = noted.read_text()
    write(run_dir, point(200), DONE)
    Tracker(uri, "s").ship(run_dir, row, alive=True)
    noted.unlink()
    if kept == "an old position":
        noted.write_text(before)
    Tracker(uri, "s").ship(run_dir, row, alive=True)
    (run,) = runs_of(uri)
    assert [step for step, _ in curve(uri, run)] == [100, 200]
    assert len(connect(uri).get_metric_history(run.info.run_id, "final/loss")) == 1


def test_what_a_shipper_that_died_in_between_did_not_send_is_sent(uri, run_dir, row, monkeypatch):
    write(run_dir, start(), point(100), DONE)
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "_log", lambda *a: (_ for _ in ()).throw(TrackingError("gone")))
        with pytest.raises(TrackingError):
            Tracker(uri, "s").ship(run_dir, row, alive=False)
    Tracker(uri, "s").ship(run_dir, row, alive=False)
    (run,) = runs_of(uri)
    assert run.data.params["run_id"] == row["run_id"]
    assert run.data.metrics["scale/num_params"] == row["num_params"]


def test_a_run_that_was_deleted_while_it_is_shipped_stays_so_until_it_is_to_be_restored(
    uri, run_dir, row
):
    write(run_dir, start(), point(100))
    tracker = Tracker(uri, "s")
    tracker.ship(run_dir, row, alive=True)
    (run,) = runs_of(uri)
    connect(uri).delete_run(run.info.run_id)
    write(run_dir, point(200), DONE)
    with pytest.raises(TrackingError, match="deleted"):
        tracker.ship(run_dir, row, alive=False)
    assert tracker.answers()
    for another in (tracker, Tracker(uri, "s")):
        with pytest.raises(DeletedError, match="`scaling sync s --restore` brings it back"):
            another.ship(run_dir, row, alive=False)
        assert another.deleted == {row["run_id"]}
    assert runs_of(uri) == []
    assert Tracker(uri, "s", restore=True).ship(run_dir, row, alive=False)
    (again,) = runs_of(uri)
    assert again.info.run_id == run.info.run_id
    assert [step for step, _ in curve(uri, again)] == [100, 200]


def test_what_is_gone_or_not_whole_in_the_store_is_shipped_again(uri, home, tmp_path, row):
    """A store that was put back from a backup of before, or whose trash was emptied."""
    early, late = ({**row, "run_id": name} for name in ("early", "late"))
    write(tmp_path / "early", start(), point(100))
    Tracker(uri, "s").ship(tmp_path / "early", early, alive=True)
    backup = shutil.copy(home / "mlflow.db", tmp_path)
    write(tmp_path / "early", point(200), DONE)
    write(tmp_path / "late", start(), point(100), DONE)
    shipped = {"early": early, "late": late}
    for name, line in shipped.items():
        Tracker(uri, "s").ship(tmp_path / name, line, alive=False)
    before = {run.data.tags["scaling.run_id"]: run.data.metrics for run in runs_of(uri)}
    shutil.copy(backup, home / "mlflow.db")
    trusting, asking = Tracker(uri, "s"), Tracker(uri, "s")
    asking.compare()
    for tracker, again in ((trusting, 0), (asking, 2), (asking, 2)):
        assert all(tracker.ship(tmp_path / n, line, alive=False) for n, line in shipped.items())
        assert tracker.again == again
    found = {run.data.tags["scaling.run_id"]: run for run in runs_of(uri)}
    assert {name: run.data.metrics for name, run in found.items()} == before
    assert [step for step, _ in curve(uri, found["early"])] == [100, 200]


def test_what_an_earlier_version_shipped_gets_names_and_charts_of_today(uri, home, run_dir, row):
    write(run_dir, start(), point(100), DONE)
    tracker = Tracker(uri, "s")
    tracker.ship(run_dir, row, alive=False)
    (run,) = runs_of(uri)
    client, whole = connect(uri), run.data.metrics
    client.set_experiment_tag(run.info.experiment_id, VIEW_TAG, '{"compareRunCharts":[]}')
    client.set_experiment_tag(run.info.experiment_id, f"{VIEW_TAG}2", "a user's own")
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        for table in ("metrics", "latest_metrics"):
            connection.execute(f"DELETE FROM {table} WHERE key LIKE 'law/%'")
            connection.execute(f"UPDATE {table} SET key = key || 'ew' WHERE key LIKE '%log10%'")
    for again in (1, 0):
        asking = Tracker(uri, "s")
        asking.compare([row])
        assert asking.ship(run_dir, row, alive=False) and asking.again == again
    (run,) = runs_of(uri)
    assert whole.items() <= run.data.metrics.items()
    assert "scale/log10_New" in run.data.metrics  # that of before stays
    prepare(uri, "s")  # who knows nothing of the sweep leaves the view
    tags = client.get_experiment_by_name("s").tags
    assert "law/" not in tags[VIEW_TAG]
    prepare(uri, "s", "### s: 1 run")
    tags = client.get_experiment_by_name("s").tags
    assert "law/" in tags[VIEW_TAG] and tags[f"{VIEW_TAG}2"] == "a user's own"


def test_a_deleted_experiment_comes_back_with_its_runs_but_for_those_begun_anew(uri, run_dir, row):
    for at in (1000.0, 3000.0):
        write(run_dir, start(at=at), point(100), DONE)
        Tracker(uri, "s").ship(run_dir, row, alive=False)
        (run,) = runs_of(uri)
        (run_dir / JOURNAL).unlink()
    write(run_dir, start(at=3000.0), point(100), DONE)
    connect(uri).delete_experiment(run.info.experiment_id)
    with pytest.raises(DeletedError, match="`scaling sync s --restore` brings it back"):
        Tracker(uri, "s").compare()
    tracker = Tracker(uri, "s", restore=True)
    tracker.compare()
    assert tracker.ship(run_dir, row, alive=False)
    assert [found.info.run_id for found in runs_of(uri)] == [run.info.run_id]
    assert tracker.again == 0


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_no_obstacle(uri, tmp_path, monkeypatch, number):
    def flock(*arguments):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert prepare(uri, "s")


def test_charts_and_table_show_sizes_and_what_was_swept(uri, run_dir, row):
    """In the words of MLflow's UI, which takes no colour and no column but its own."""
    bigger = {**row, "run_id": "b" * 16, "num_params": 100 * row["num_params"]}
    bigger["spec"] = {**row["spec"], "model": {**row["spec"]["model"], "width": 80}}
    assert swept([row, bigger]) == ["model.width"]
    prepare(uri, "s", options=swept([row, bigger]))
    view = json.loads(connect(uri).get_experiment_by_name("s").tags[VIEW_TAG])
    assert view["selectedColumns"][-1] == "params.`model.width`"
    assert "metrics.`final/loss`" in view["selectedColumns"]
    where = {"host": "node7", "device": "cuda:0", "card": "NVIDIA H100"}
    write(run_dir, {**start(), **where}, point(100), DONE)
    tracker = Tracker(uri, "s")
    tracker.colours = colours([row, bigger])
    tracker.ship(run_dir, row, alive=False)
    (run,) = runs_of(uri)
    assert run.data.tags["mlflow.runColor"] == "#440154"
    assert {key: run.data.tags[f"scaling.{key}"] for key in where} == where
    assert colours([row, row]) == {} and colours([]) == {}


def test_a_diverged_run_has_no_infinite_metric(uri, run_dir, row):
    wild = {**point(200), "loss": math.inf, "train_loss": math.nan}
    over = {"event": "end", "status": "diverged", "loss": None, "reason": "loss inf", "tokens": 200}
    write(run_dir, start(), point(100), wild, over)
    Tracker(uri, "s").ship(run_dir, row, alive=False)
    (run,) = runs_of(uri)
    assert run.data.metrics["diverged"] == 1
    assert all(abs(value) < 1e300 for value in run.data.metrics.values())
    assert curve(uri, run) == [(100, 5.9)]
    assert run.data.tags["scaling.reason"] == "loss inf"
    assert run.info.status == "FAILED"  # the list marks nothing else
    assert run.data.tags["scaling.status"] == "diverged"


def test_a_failed_run_says_why(uri, run_dir, row):
    write(run_dir, start(), {"event": "end", "status": "failed", "reason": "OSError: x"})
    Tracker(uri, "s").ship(run_dir, row, alive=False)
    (run,) = runs_of(uri)
    assert run.info.status == "FAILED"
    assert run.data.tags["scaling.status"] == "failed"
    assert run.data.tags["scaling.reason"] == "OSError: x"


def test_a_run_begun_anew_replaces_the_old_one(uri, run_dir, row):
    write(run_dir, start(), point(100), DONE)
    Tracker(uri, "s").ship(run_dir, row, alive=False)
    (old,) = runs_of(uri)
    (run_dir / JOURNAL).unlink()
    write(run_dir, start(at=3000.0), point(100))
    Tracker(uri, "s").ship(run_dir, row, alive=True)
    (new,) = runs_of(uri)
    assert new.info.run_id != old.info.run_id
    assert connect(uri).get_run(old.info.run_id).info.lifecycle_stage == "deleted"


def test_the_same_run_elsewhere_is_left_alone(uri, tmp_path, row):
    """Two people with one tracking store do the same sweep, each in a root of their own."""
    for at, name in ((1000.0, "mine"), (2000.0, "theirs"), (1000.0, "mine")):
        if not (tmp_path / name).exists():
            write(tmp_path / name, start(at=at), point(100))
        Tracker(uri, "s").ship(tmp_path / name, row, alive=True)
    assert len(runs_of(uri)) == 2


def test_thousands_of_points_arrive(uri, run_dir, row):
    """More than the 1,000 metrics that one call takes."""
    write(run_dir, start())
    lines = "".join(json.dumps(point(step)) + "\n" for step in range(1, 701))
    with (run_dir / JOURNAL).open("a") as file:
        file.write(lines)
    Tracker(uri, "s").ship(run_dir, row, alive=True)
    (run,) = runs_of(uri)
    assert [step for step, _ in curve(uri, run, "lr")] == list(range(1, 701))


def test_prepare_makes_the_experiment_once_with_its_note(uri, home):
    first = prepare(uri, "s", "### note")
    assert prepare(uri, "s") == first
    found = connect(uri).get_experiment(first)
    assert found.tags["mlflow.note.content"] == "### note"
    assert found.artifact_location == (home / "artifacts" / "s").as_uri()


def test_a_deleted_experiment_is_not_written_to(uri):
    connect(uri).delete_experiment(prepare(uri, "s"))
    with pytest.raises(DeletedError, match="'s' was deleted"):
        prepare(uri, "s")


def test_a_store_that_is_no_store_is_said_so(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is a poem, " * 100)
    with pytest.raises(TrackingError, match=r"does not answer: .*file is not a database"):
        prepare(f"sqlite:///{tmp_path / 'mlflow.db'}", "s")


def test_a_report_is_one_run_however_often_it_is_made(uri, home, tmp_path):
    import pandas as pd
    from matplotlib.figure import Figure

    html = tmp_path / "report.html"
    for text in ("<p>first</p>", "<p>second</p>"):
        html.write_text(text)
        tables = {"runs": pd.DataFrame({"N": [1, 2]})}
        run_id = log_report(uri, "s", html, {"frontier": Figure()}, tables)
    (run,) = runs_of(uri)
    assert run.info.run_id == run_id
    assert run.data.tags["scaling.kind"] == "report"
    folder = home / "artifacts" / "s" / run_id / "artifacts"
    assert (folder / "report.html").read_text() == "<p>second</p>"
    assert (folder / "figures" / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "tables" / "runs.csv").read_text().split() == ["N", "1", "2"]


@pytest.mark.slow  # two processes: a store is never half made
def test_many_can_prepare_a_fresh_store_at_once(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    code = (
        "import sys; from scaling.tracking.ready import prepare; print(prepare(sys.argv[1], 's'))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, uri]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {client.communicate()[0].strip() for client in clients}
    assert [client.returncode for client in clients] == [0] * 2
    assert len(answers) == 1


@pytest.fixture
def server(tmp_path, monkeypatch):
    """``server.start()`` starts a real tracking server on the loopback, ``stop()`` ends it."""
    monkeypatch.setenv(RETRIES, ENVIRONMENT[RETRIES])  # as a user has it
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    class Server:
        uri = f"http://127.0.0.1:{port}"
        process = None

        def start(self):
            command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
            command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path}/m.db"]
            with (tmp_path / "server.log").open("wb") as log:
                # a session of its own, so that the server ends together with its children
                self.process = subprocess.Popen(
                    command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
                )
            until = time.monotonic() + 300
            while time.monotonic() < until:
                try:
                    with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                        return
                except OSError:
                    time.sleep(0.5)
            raise AssertionError((tmp_path / "server.log").read_text())

        def stop(self):
            if self.process:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait()

    it = Server()
    yield it
    it.stop()


@pytest.mark.slow  # a real server: what MLflow's own client and server do
def test_what_a_server_that_is_down_missed_is_shipped_later(server, run_dir, row, tmp_path):
    write(run_dir, start(), point(100), point(200))
    with pytest.raises(TrackingError, match=r"does not answer: Connection refused$"):
        Tracker(server.uri, "s").ship(run_dir, row, alive=True)
    server.start()
    write(run_dir, DONE)
    assert Tracker(server.uri, "s").ship(run_dir, row, alive=False) is True
    assert Tracker(server.uri, "s").ship(run_dir, row, alive=False) is True
    (run,) = runs_of(server.uri)
    assert [step for step, _ in curve(server.uri, run)] == [100, 200]
    assert run.info.status == "FINISHED"
    html = tmp_path / "report.html"
    html.write_text("<p>report</p>")
    log_report(server.uri, "s", html, {})
    assert len(runs_of(server.uri)) == 2


def test_what_a_program_reported_is_there_under_its_own_name_with_tokens_as_step(uri, run_dir, row):
    """Names that MLflow refuses are written in its letters; a point without a loss is one too."""
    told = {"program/acc": 0.5, "program/epoch": 1, "program/top@5 (%)": 7.0, "seconds": 1.0}
    write(
        run_dir,
        start(),
        {"event": "point", "step": 128, "loss": 2.5, **told},
        {"event": "point", "step": 256, "train_loss": 2.0, "seconds": 2.0},
        {**DONE, "program/acc": 0.75},
    )
    tracker = Tracker(uri, "s")
    assert tracker.ship(run_dir, row, alive=False)
    assert Tracker(uri, "s").ship(run_dir, row, alive=False)  # and not a second time
    (run,) = runs_of(uri)
    metrics = run.data.metrics
    assert metrics["heldout/loss"] == 2.5 and metrics["train/loss"] == 2.0
    assert metrics["program/epoch"] == 1 and metrics["program/top_5 ___"] == 7.0
    assert metrics["final/program/acc"] == 0.75
    (seen,) = connect(uri).get_metric_history(run.info.run_id, "program/acc")
    assert (seen.step, seen.value) == (128, 0.5)
