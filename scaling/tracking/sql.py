"""Runs and curves straight from the tables of an SQL store: MLflow's own way costs 20 times more.

The tables are MLflow's (``mlflow/store/tracking/dbmodels/models.py``); they are only read.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from sys import intern
from typing import TYPE_CHECKING, Any

from scaling.tracking.stored import History, StoredRun

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KINDS = ("sqlite", "postgresql", "mysql", "mssql")
_RUNS = """
    SELECT run_uuid, name, status, start_time, end_time FROM runs
    WHERE experiment_id = :experiment AND lifecycle_stage = 'active'
    ORDER BY start_time, run_uuid"""
_OF_RUNS = """
    FROM {table} JOIN runs ON runs.run_uuid = {table}.run_uuid
    WHERE runs.experiment_id = :experiment AND runs.lifecycle_stage = 'active'"""
_PAIRS = "SELECT {table}.run_uuid, {table}.key, {table}.value" + _OF_RUNS
_METRICS = """
    SELECT latest_metrics.run_uuid, latest_metrics.key, latest_metrics.value,
    latest_metrics.is_nan""" + _OF_RUNS.format(table="latest_metrics")
_HISTORY = """
    SELECT run_uuid, key, step, value, is_nan FROM metrics
    WHERE run_uuid IN :runs AND key IN :names ORDER BY run_uuid, key, timestamp, step"""
_RUNS_AT_ONCE = 500  # in one question: SQLite takes 999 variables at least


def is_sql(tracking_uri: str) -> bool:
    """Whether an address is one of a database, which MLflow itself would open."""
    return tracking_uri.partition(":")[0].partition("+")[0] in _KINDS


def experiments_in(tracking_uri: str) -> list[str]:
    """Names of the active experiments."""
    with _connected(tracking_uri) as connection:
        return sorted(_experiments(connection))


def runs_in(tracking_uri: str, name: str) -> tuple[list[StoredRun] | None, list[str]]:
    """The active runs of an experiment, the oldest first, or None; the experiments that there are.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not answer, or has not MLflow's tables.
    """
    with _connected(tracking_uri) as connection, _without_collection():
        experiments = _experiments(connection)
        if name not in experiments:
            return None, sorted(experiments)
        of = {"experiment": experiments[name]}
        tags, params = (_pairs(connection, table, of) for table in ("tags", "params"))
        metrics: dict[str, dict[str, float]] = {}
        for run, key, value, is_nan in _rows(connection, _METRICS, of):
            metrics.setdefault(run, {})[intern(key)] = math.nan if is_nan else value
        runs = [
            StoredRun(
                run_id, name, status, began, ended,
                tags.get(run_id, {}), params.get(run_id, {}), metrics.get(run_id, {}),
            )
            for run_id, name, status, began, ended in _rows(connection, _RUNS, of)
        ]  # fmt: skip
        return runs, sorted(experiments)


def histories_in(
    tracking_uri: str, run_ids: Sequence[str], names: Collection[str]
) -> dict[str, dict[str, History]]:
    """Run -> metric -> history, of the metrics in ``names``."""
    found: dict[str, dict[str, History]] = {run_id: {} for run_id in run_ids}
    values: dict[str, Any] = {"names": sorted(names)}
    with _connected(tracking_uri) as connection:
        for first in range(0, len(run_ids), _RUNS_AT_ONCE):
            values["runs"] = list(run_ids[first : first + _RUNS_AT_ONCE])
            for run, key, step, value, is_nan in _rows(connection, _HISTORY, values):
                history = found[run].setdefault(intern(key), [])
                history.append((step, math.nan if is_nan else value))
    return found


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python from looking for garbage among a million values that all stay: half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _connected(tracking_uri: str) -> Iterator[Connection]:
    from sqlalchemy import create_engine

    engine = create_engine(tracking_uri)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _experiments(connection: Connection) -> dict[str, int]:
    """Name -> id of the active ones, in the workspace that a client asks unless told otherwise."""
    from sqlalchemy import text

    columns = connection.execute(text("SELECT * FROM experiments WHERE 1 = 0")).keys()
    where = " AND workspace = 'default'" if "workspace" in columns else ""
    question = "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'"
    return dict(map(tuple, _rows(connection, question + where, {})))


def _pairs(connection: Connection, table: str, of: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run, key, value in _rows(connection, _PAIRS.format(table=table), of):
        found.setdefault(run, {})[intern(key)] = value
    return found


def _rows(connection: Connection, question: str, values: Mapping[str, Any]) -> Iterator[Any]:
    from sqlalchemy import bindparam, text

    lists: list[Any] = [
        bindparam(name, expanding=True) for name, v in values.items() if isinstance(v, list)
    ]
    # All at once: row by row costs more than the rows.
    return iter(connection.execute(text(question).bindparams(*lists), dict(values)).fetchall())
