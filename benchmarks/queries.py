"""What it costs to read a large MLflow experiment: processor time of a table and of curves.

    python benchmarks/queries.py [--runs 1000 10000] [--ours]

A SQLite store with runs of 25 params, 12 metrics and 4 tags (``--ours``: with the keys that our
tracker writes) is made with MLflow's own models, then read in processes of their own, start-up and
imports included: by ``analysis.load_runs`` with nothing kept, once more, after one run and after
100 runs got another value, and by ``mlflow.search_runs``, the peer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from scaling.tracking import connect

CURVE = 20  # points of a metric
OURS_READ = "from analysis import load_runs; print(len(load_runs('many', tracking_uri={uri!r})))"
OUR_CURVES = (
    "from analysis.tables.experiments import experiment_curves as curves; "
    "print(len(curves({uri!r}, 'few')))"
)
PEER = (
    "import mlflow; mlflow.set_tracking_uri({uri!r}); "
    "print(len(mlflow.search_runs(experiment_names=['many'], max_results=50000)))"
)


def fill(uri: str, name: str, runs: int, ours: bool) -> None:
    """An experiment of so many runs, written with MLflow's models in bulk."""
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import create_engine, insert

    number = int(connect(uri).create_experiment(name))
    rng = np.random.default_rng(0)
    ids = [f"{name[:4]:0<4s}{i:028x}" for i in range(runs)]
    sizes, tokens = 10 ** rng.uniform(6, 9, runs), 10 ** rng.uniform(8, 11, runs)
    losses = 1.69 + 406.4 / sizes**0.34 + 410.7 / tokens**0.28
    named = ("scale/num_params", "scale/num_tokens", "final/loss", "heldout/loss")
    keys = named if ours else ("params", "tokens", "val_loss", "train_loss")
    rows: dict[type, list[dict[str, object]]] = {
        models.SqlRun: [
            {"run_uuid": run, "name": f"run-{i}", "experiment_id": number, "status": "FINISHED",
             "source_type": "LOCAL", "user_id": "me", "artifact_uri": "file:///none",
             "lifecycle_stage": "active", "start_time": i,
             "end_time": i + 1}
            for i, run in enumerate(ids)
        ],
        models.SqlTag: [
            {"run_uuid": run, "key": key, "value": str(i)}
            for i, run in enumerate(ids)
            for key in ("scaling.run_id" if ours else "host", "mlflow.runName", "git", "note")
        ],
        models.SqlParam: [
            {"run_uuid": run, "key": f"model.option{k}", "value": str((i * (k + 7)) % 97)}
            for i, run in enumerate(ids)
            for k in range(25)
        ],
    }  # fmt: skip
    last = [
        {"run_uuid": run, "key": key, "value": float(value), "timestamp": 0, "step": CURVE - 1,
         "is_nan": False}
        for i, run in enumerate(ids)
        for key, value in zip(
            (*keys, *(f"other{k}" for k in range(8))),
            (sizes[i], tokens[i], losses[i], losses[i], *rng.random(8)),
            strict=True,
        )
    ]  # fmt: skip
    rows[models.SqlLatestMetric] = last
    rows[models.SqlMetric] = [
        {**row, "step": step, "value": row["value"] + CURVE - 1 - step}  # type: ignore[operator]
        for row in last
        if row["key"] == keys[3] and runs <= 1000
        for step in range(CURVE)
    ]
    engine = create_engine(uri)
    with engine.begin() as connection:
        for model, values in rows.items():
            if values:
                connection.execute(insert(model), values)
    engine.dispose()


def edit(uri: str, runs: int) -> None:
    """Another last value for so many runs."""
    if not runs:
        return
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as store, store:
        some = "SELECT run_uuid FROM runs WHERE experiment_id = 1 ORDER BY run_uuid LIMIT ?"
        store.execute(
            f"UPDATE latest_metrics SET value = value + 1 WHERE run_uuid IN ({some})", (runs,)
        )


def processor_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--ours", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| runs | table (CPU s) | again | 1 changed | 100 changed | 100 curves | search_runs |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as folder:
            uri = f"sqlite:///{Path(folder) / 'mlflow.db'}"
            fill(uri, "many", runs, args.ours)
            fill(uri, "few", 100, True)
            os.environ["XDG_CACHE_HOME"] = folder
            read = OURS_READ.format(uri=uri)
            print(f"| {runs} |", end="", flush=True)
            for changed in (0, 0, 1, 100):
                edit(uri, changed)
                print(f" {processor_seconds(read):.1f} |", end="", flush=True)
            for code in (OUR_CURVES, PEER):
                print(f" {processor_seconds(code.format(uri=uri)):.1f} |", end="", flush=True)
            print()


if __name__ == "__main__":
    main()
