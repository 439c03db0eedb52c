"""A team's server as it runs: passwords, what shows a secret, and what its sudden death costs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import submit
from cluster.tracking import ship_sweep
from cluster.tracking.database import make_ready
from scaling.run.journal import JOURNAL, Journal
from scaling.spec import RunSpec
from scaling.tracking import Tracker, TrackingError, prepare
from scaling.tracking.ready import ENVIRONMENT
from sweeps.sweep import Sweep
from tests.dying_server import Server, status
from tests.postgres import PASSWORD, PROGRAMS, Postgres, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL here"),
]
ADMIN = "s3cret-of-the-admin"
WORKERS, KILLS = 8, 20


@pytest.fixture(scope="module")
def postgres():
    made = Postgres()
    yield made
    made.stop()


def test_a_server_asks_for_passwords_and_shows_none(
    postgres, tmp_path, make_sweep, home, monkeypatch, capfd
):
    """As a lab has it, from `scaling server` to a sweep's runs in PostgreSQL."""
    address, port = postgres.create("lab"), free_port()
    credentials = tmp_path / "credentials"
    credentials.write_text(f"PGPASSWORD={PASSWORD}\nMLFLOW_AUTH_ADMIN_PASSWORD={ADMIN}\n")
    credentials.chmod(0o600)
    command = [sys.executable, "-m", "scaling", "server", "--database", address]
    command += ["--artifacts", str(tmp_path / "files"), "--port", str(port)]
    command += ["--credentials", str(credentials), "--workers", "2"]
    log = tmp_path / "server.log"
    with log.open("wb") as err:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
    try:
        url = server.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}", log.read_text()
        asked = f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        assert [status(asked), status(asked, f"admin:{PASSWORD}")] == [401, 401]
        assert status(asked, f"admin:{ADMIN}") == 200
        assert status(asked, f"admin:{ADMIN}", host="evil.org") == 403

        uri = url.replace("//", f"//admin:{ADMIN}@")
        sweep = make_sweep(seed=[0, 1])
        submit(sweep, on="inline", tracking_uri=uri)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert ship_sweep("tiny").complete == 2
        stored = postgres.ask("SELECT value FROM params WHERE key = 'run_id'", "lab")
        assert sorted(run for (run,) in stored) == sorted(entry.run_id for entry in sweep)
        everybody = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=True)
    finally:
        server.terminate()
        said, _ = server.communicate()
    assert server.returncode == 0
    credentials.unlink()
    files = [p for place in (tmp_path, home) for p in place.rglob("*") if p.is_file()]
    shown = [said.encode(), everybody.stdout, "".join(capfd.readouterr()).encode()]
    assert b"for this machine only" in log.read_bytes()
    for text in (*shown, *(file.read_bytes() for file in files)):
        assert PASSWORD.encode() not in text and ADMIN.encode() not in text


def write_and_ship(folder, row, uri, over, seed):
    """A worker and its shipper: the journal grows, and goes out as soon as somebody takes it."""
    rng, journal, tracker = random.Random(seed), Journal(folder), Tracker(uri, "s")
    journal.append(event="start", attempt=1, time=1000.0 + seed)
    step = missed = 0
    while not over.is_set():
        for _ in range(rng.choice([1, 7, 30] if step else [300])):  # the last in several calls
            step += 128
            told = {name: rng.random() for name in ("loss", "train_loss", "lr", "program/x")}
            journal.append(event="point", step=step, seconds=step / 100, **told)
        try:
            tracker.ship(folder, row, alive=True)
        except TrackingError:
            missed += 1
            if rng.random() < 0.3:  # and dies before it has noted anything
                tracker = Tracker(uri, "s")
    journal.append(event="end", status="done", loss=1.0, tokens=step, seconds=1.0, time=5000.0)
    journal.close()
    assert Tracker(uri, "s").ship(folder, row, alive=False)
    return missed


def points_of(folder):
    """What a journal says, read here as JSON: (metric, step, value) of each point."""
    names = {"loss": "heldout/loss", "train_loss": "train/loss", "lr": "train/lr"}
    names |= {"seconds": "train/seconds", "program/x": "program/x"}
    lines = [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]
    return sorted(
        (names[key], point["step"], point[key])
        for point in lines
        if point["event"] == "point"
        for key in names
    )


def test_every_point_is_there_exactly_once_though_the_server_is_killed_again_and_again(
    postgres, tmp_path, tiny, monkeypatch
):
    """Eight workers; the server dies twenty times, at any moment of a request."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # as users have it: a request is sent again
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")  # but sooner
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0.2")
    postgres.create("killed")
    address = f"postgresql+psycopg2://mlflow@127.0.0.1:{postgres.port}/killed"
    make_ready(address, PASSWORD, upgrade=False)
    server, rng = Server(address, tmp_path), random.Random(0)
    uri = f"http://127.0.0.1:{server.port}"
    specs = [RunSpec.resolve(**tiny, seed=seed) for seed in range(WORKERS)]
    rows = [json.loads(line) for line in Sweep.of("s", specs).to_jsonl().splitlines()]
    over = threading.Event()
    try:
        server.anew()
        server.wait()
        prepare(uri, "s")
        with ThreadPoolExecutor(WORKERS) as pool:
            workers = [
                pool.submit(write_and_ship, tmp_path / str(i), row, uri, over, i)
                for i, row in enumerate(rows)
            ]
            for _ in range(KILLS):
                server.anew()
                server.wait()
                time.sleep(rng.uniform(0.0, 0.6))
            over.set()
            missed = [worker.result() for worker in workers]
    finally:
        over.set()
        server.close()
    assert sum(missed) >= KILLS / 2, missed
    runs = dict(postgres.ask("SELECT value, run_uuid FROM params WHERE key = 'run_id'", "killed"))
    assert postgres.ask("SELECT count(*), min(status), max(status) FROM runs", "killed") == [
        (WORKERS, "FINISHED", "FINISHED")
    ]
    for i, row in enumerate(rows):
        told = postgres.ask(
            "SELECT key, step, value FROM metrics WHERE key !~ '^(scale|final|law)/' "
            f"AND run_uuid = '{runs[row['run_id']]}'",
            "killed",
        )
        assert sorted(told) == points_of(tmp_path / str(i))
