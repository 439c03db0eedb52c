"""How many runs a second go to a tracking store, and whose processor that takes.

    python benchmarks/shipping.py [--stores sqlite server postgres team] [--runs 200]

Runs that ended are shipped in turn by what ``scaling sync`` does (``many``), by our tracker run
by run (``one by one``), and by a loop of ``MlflowClient`` calls with the same content, which asks
nothing and notes nothing (``bare``): the least that MLflow's interface takes. A server is a real
``mlflow server`` with one worker, on SQLite or on a PostgreSQL of its own, on the same machine.
``--prompt`` gives several workers the loop that ``scaling server`` gives them; ``team`` is that
server itself, with passwords, which takes many runs in one request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster.tracking.prompt import LOOP
from scaling.run.journal import JOURNAL, read_journal
from scaling.spec import RunSpec
from scaling.tracking import Tracker, connect, ship_many
from scaling.tracking.content import content_of, new_tags
from scaling.tracking.ready import prepare, set_environment
from scaling.tracking.values import born_of, start_of
from sweeps.sweep import Sweep
from tests.postgres import PASSWORD, Postgres, free_port

Lines = Sequence[tuple[Path, dict[str, Any]]]


def make_lines(folder: Path, runs: int, points: int) -> list[tuple[Path, dict[str, Any]]]:
    """Lines of a sweep, with the journal of each in its folder."""
    specs = [
        RunSpec.resolve(depth=2, width=64, lr=1e-3, num_tokens=1 << 20, seed=seed)
        for seed in range(runs)
    ]
    rows = [json.loads(line) for line in Sweep.of("s", specs).to_jsonl().splitlines()]
    lines = []
    for number, row in enumerate(rows):
        born, run_dir = 1e9 + number, folder / str(number)
        start = {"event": "start", "attempt": 1, "time": born, "host": "h", "device": "cpu"}
        curve = [
            {"event": "point", "step": 128 * s, "loss": 6 - s / 50, "train_loss": 6 - s / 49,
             "lr": 1e-3, "seconds": s / 3} for s in range(1, points + 1)
        ]  # fmt: skip
        last = {"event": "end", "status": "done", "loss": 3.0, "loss_se": 0.01, "time": born + 60,
                "tokens": 1 << 20, "seconds": 50.0}  # fmt: skip
        run_dir.mkdir()
        texts = (json.dumps(event) + "\n" for event in (start, *curve, last))
        (run_dir / JOURNAL).write_text("".join(texts))
        lines.append((run_dir, row))
    return lines


def one_by_one(uri: str, experiment: str, lines: Lines) -> None:
    tracker = Tracker(uri, experiment)
    for run_dir, row in lines:
        tracker.ship(run_dir, row, alive=False)


def many(uri: str, experiment: str, lines: Lines) -> None:
    ship_many(Tracker(uri, experiment), lines)


def bare(uri: str, experiment: str, lines: Lines) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    client, number = connect(uri), prepare(uri, experiment)
    for run_dir, row in lines:
        events = read_journal(run_dir)
        born, said = born_of(events), content_of(row, events)
        tags = new_tags(row, born, {}, {})
        run = client.create_run(number, start_of(born), tags, row["name"]).info.run_id
        if said.data:
            data = Dataset(*said.data, "scaling", json.dumps({"data": said.data[0]}))
            used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
            client.log_inputs(run, datasets=[used])
        metrics = [Metric(k, v, round(1000 * s), step) for k, v, s, step in said.values]
        params = [Param(key, value) for key, value in said.params.items()]
        marks = [RunTag(key, value) for key, value in said.tags.items()]
        client.log_batch(run, metrics, params, marks)
        client.set_terminated(run, said.status, said.ended)


def processor_of(group: int | None) -> float:
    """Processor seconds of the living processes of a group."""
    if group is None:
        return 0.0
    spent = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


@contextlib.contextmanager
def serving(
    folder: Path, store: str, workers: int, prompt: bool = False
) -> Iterator[tuple[str, int]]:
    """A tracking server on a database; its address and its process group."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--workers", str(workers), "--artifacts-destination", str(folder / "files")]
    if prompt:
        command += ["--uvicorn-opts", f"--loop {LOOP}"]
    with started(folder, command) as served:
        yield served


@contextlib.contextmanager
def team(folder: Path, database: str, workers: int) -> Iterator[tuple[str, int]]:
    """``scaling server``, asked as its administrator; its address and its process group."""
    credentials, secret = folder / "credentials", "of-the-benchmark"
    credentials.write_text(f"PGPASSWORD={PASSWORD}\nMLFLOW_AUTH_ADMIN_PASSWORD={secret}\n")
    credentials.chmod(0o600)
    command = [sys.executable, "-m", "scaling", "server", "--database", database]
    command += ["--workers", str(workers), "--artifacts", str(folder / "files")]
    with started(folder, [*command, "--credentials", str(credentials)]) as (uri, group):
        children = Path(f"/proc/{group}/task/{group}/children").read_text().split()
        yield uri.replace("//", f"//admin:{secret}@"), int(children[0])  # in a group of its own


@contextlib.contextmanager
def started(folder: Path, command: list[str]) -> Iterator[tuple[str, int]]:
    """A server from when it answers; its address and its process group."""
    port = free_port()
    command = [*command, "--port", str(port)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            if process.poll() is not None:
                raise SystemExit((folder / "server.log").read_text())
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@contextlib.contextmanager
def store_of(
    kind: str, folder: Path, workers: int, prompt: bool
) -> Iterator[tuple[str, int | None]]:
    """A tracking store; its address, and the process group that serves it."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'mlflow.db'}", None
    elif kind == "server":
        with serving(folder, f"sqlite:///{folder / 'mlflow.db'}", workers, prompt) as served:
            yield served
    else:
        postgres = Postgres()
        try:
            postgres.create("mlflow")
            address = postgres.address("mlflow", PASSWORD)
            driver = address.replace("postgresql:", "postgresql+psycopg2:")
            if kind == "team":
                server = team(folder, postgres.address("mlflow"), workers)
            else:
                server = serving(folder, driver, workers, prompt)
            with server as served:
                yield served
        finally:
            postgres.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = ("sqlite", "server", "postgres", "team")
    parser.add_argument("--stores", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--workers", type=int, default=1, help="processes of the server (1)")
    parser.add_argument("--prompt", action="store_true", help="several workers answer at once")
    parser.add_argument("--rounds", type=int, default=2)
    known: dict[str, Callable[[str, str, Lines], None]] = {
        "bare": bare, "one by one": one_by_one, "many": many
    }  # fmt: skip
    parser.add_argument("--ways", nargs="+", choices=known, default=[*known])
    args = parser.parse_args()
    set_environment()
    ways = {words: known[words] for words in args.ways}
    print("| store | way | runs/s (clock) | shipper, ms a run | server, ms a run |")
    print("| --- | --- | --- | --- | --- |")
    for kind in args.stores:
        with (
            tempfile.TemporaryDirectory() as name,
            store_of(kind, Path(name), args.workers, args.prompt) as (uri, group),
        ):
            (Path(name) / "runs").mkdir()
            lines = make_lines(Path(name) / "runs", args.runs, args.points)
            for way in (one_by_one, many):  # imports, connections
                way(uri, f"first {way.__name__}", lines[:16])
            for number in range(args.rounds):
                for words, way in ways.items():
                    clock, own, served = time.monotonic(), time.process_time(), processor_of(group)
                    way(uri, f"{words} {number}", lines)
                    took = time.monotonic() - clock
                    spent = [time.process_time() - own, processor_of(group) - served]
                    shown = " | ".join(f"{1000 * s / args.runs:.1f}" for s in spent)
                    print(f"| {kind} | {words} | {args.runs / took:.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
