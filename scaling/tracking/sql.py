"""Runs and curves straight from the tables of an SQL store: MLflow's own way costs 20 times more.

The tables are MLflow's (``mlflow/store/tracking/dbmodels/models.py``); they are only read.
"""

from __future__ import annotations

import gc
import hashlib
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from sys import intern
from typing import TYPE_CHECKING, Any

from scaling.tracking.ready import sqlite_path
from scaling.tracking.stored import History, StoredRun

if TYPE_CHECKING:
    from sqlalchemy import Connection as OtherConnection

    Connection = OtherConnection | sqlite3.Connection

_KINDS = ("sqlite", "postgresql", "mysql", "mssql")
_RUNS = """
    SELECT run_uuid, name, status, start_time, end_time FROM runs
    WHERE experiment_id = :experiment AND lifecycle_stage = 'active'{only}
    ORDER BY start_time, run_uuid"""
_OF_RUNS = """
    FROM {table} JOIN runs ON runs.run_uuid = {table}.run_uuid
    WHERE runs.experiment_id = :experiment AND runs.lifecycle_stage = 'active'{only}"""
_PAIRS = "SELECT {table}.run_uuid, {table}.key, {table}.value" + _OF_RUNS
_METRICS = (
    """
    SELECT {table}.run_uuid, {table}.key, {table}.value, {table}.is_nan"""
    + _OF_RUNS
)
_ONLY = " AND runs.run_uuid IN :runs"
# Everything that a table takes of a run, as one text each; SQLite's `quote` tells all values apart,
# and MLflow allows neither `=` nor `'` in a key.
_PRINTS = """
    SELECT run_uuid, quote(name) || quote(status) || quote(start_time) || quote(end_time),
    (SELECT group_concat(key || quote(value)) FROM tags t WHERE t.run_uuid = r.run_uuid),
    (SELECT group_concat(key || quote(value)) FROM params p WHERE p.run_uuid = r.run_uuid),
    (SELECT group_concat(key || '=' || quote(value) || is_nan) FROM latest_metrics m
     WHERE m.run_uuid = r.run_uuid)
    FROM runs r WHERE experiment_id = :experiment AND lifecycle_stage = 'active'
    ORDER BY start_time, run_uuid"""
_HISTORY = """
    SELECT run_uuid, key, step, value, is_nan FROM metrics
    WHERE run_uuid IN :runs AND key IN :names ORDER BY run_uuid, key, timestamp, step"""
_SNAPSHOT = "SELECT pg_postmaster_start_time(), current_database(), pg_current_snapshot()"
_RUNS_AT_ONCE = 500  # in one question: SQLite takes 999 variables at least


def is_sql(tracking_uri: str) -> bool:
    """Whether an address is one of a database, which MLflow itself would open."""
    return tracking_uri.partition(":")[0].partition("+")[0] in _KINDS


def experiments_in(tracking_uri: str) -> list[str]:
    """Names of the active experiments."""
    with _connected(tracking_uri) as connection:
        return sorted(_experiments(connection))


def snapshot_in(tracking_uri: str) -> list[int | str] | None:
    """Of PostgreSQL what differs after each transaction that wrote anything; None of others.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not answer, or is older than PostgreSQL 13.
    """
    if not tracking_uri.startswith("postgresql"):
        return None
    with _connected(tracking_uri) as connection:
        (row,) = _rows(connection, _SNAPSHOT, {})
    return list(map(str, row))


def prints_in(tracking_uri: str, name: str) -> dict[str, str] | None:
    """Of each active run of an experiment in a SQLite file what differs when a run does.

    In the order of :func:`runs_in`; None where the store is another, or has no such experiment.
    """
    if not sqlite_path(tracking_uri):
        return None
    with _connected(tracking_uri) as connection, _without_collection():
        experiments = _experiments(connection)
        if name not in experiments:
            return None
        rows = _rows(connection, _PRINTS, {"experiment": experiments[name]})
        return {
            run: hashlib.blake2b(repr(texts).encode("utf-8", "replace"), digest_size=16).hexdigest()
            for run, *texts in rows
        }


def runs_in(
    tracking_uri: str, name: str, only: Collection[str] | None = None
) -> tuple[list[StoredRun] | None, list[str]]:
    """The active runs of an experiment, the oldest first, or None; the experiments that there are.

    With ``only`` those of these ids.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError, sqlite3.Error
        If the database does not answer, or has not MLflow's tables.
    """
    with _connected(tracking_uri) as connection, _without_collection():
        experiments = _experiments(connection)
        if name not in experiments:
            return None, sorted(experiments)
        of = {"experiment": experiments[name]}
        if only is None:
            return _runs(connection, of), sorted(experiments)
        ids, found = sorted(only), list[StoredRun]()
        for first in range(0, len(ids), _RUNS_AT_ONCE):
            found += _runs(connection, {**of, "runs": ids[first : first + _RUNS_AT_ONCE]})
        return found, sorted(experiments)


def _runs(connection: Connection, of: Mapping[str, Any]) -> list[StoredRun]:
    only = _ONLY if "runs" in of else ""
    tags, params = (_pairs(connection, table, of, only) for table in ("tags", "params"))
    metrics: dict[str, dict[str, float]] = {}
    question = _METRICS.format(table="latest_metrics", only=only)
    for run, key, value, is_nan in _rows(connection, question, of):
        metrics.setdefault(run, {})[intern(key)] = math.nan if is_nan else value
    return [
        StoredRun(
            run_id, name, status, began, ended,
            tags.get(run_id, {}), params.get(run_id, {}), metrics.get(run_id, {}),
        )
        for run_id, name, status, began, ended in _rows(connection, _RUNS.format(only=only), of)
    ]  # fmt: skip


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
    if path := sqlite_path(tracking_uri):  # SQLAlchemy takes a fifth of a second to import
        with closing(sqlite3.connect(path, timeout=60)) as file:
            yield file
        return
    from sqlalchemy import create_engine

    engine = create_engine(tracking_uri)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _experiments(connection: Connection) -> dict[str, int]:
    """Name -> id of the active ones, in the workspace that a client asks unless told otherwise."""
    workspaces = _has_workspaces(connection)
    where = " AND workspace = 'default'" if workspaces else ""
    question = "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'"
    return dict(map(tuple, _rows(connection, question + where, {})))


def _has_workspaces(connection: Connection) -> bool:
    question = "SELECT * FROM experiments WHERE 1 = 0"
    if isinstance(connection, sqlite3.Connection):
        columns = [column[0] for column in connection.execute(question).description]
    else:
        from sqlalchemy import text

        columns = list(connection.execute(text(question)).keys())
    return "workspace" in columns


def _pairs(
    connection: Connection, table: str, of: Mapping[str, Any], only: str
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run, key, value in _rows(connection, _PAIRS.format(table=table, only=only), of):
        found.setdefault(run, {})[intern(key)] = value
    return found


def _rows(connection: Connection, question: str, values: Mapping[str, Any]) -> Iterator[Any]:
    """The rows all at once: one by one costs more than they do themselves."""
    lists = {name: v for name, v in values.items() if isinstance(v, list)}
    if isinstance(connection, sqlite3.Connection):
        values = {name: v for name, v in values.items() if name not in lists}
        for name, items in lists.items():
            marks = {f"{name}{number}": item for number, item in enumerate(items)}
            question = question.replace(f":{name}", f"({', '.join(map(':{}'.format, marks))})")
            values |= marks
        return iter(connection.execute(question, values).fetchall())
    from sqlalchemy import bindparam, text

    bound: list[Any] = [bindparam(name, expanding=True) for name in lists]
    return iter(connection.execute(text(question).bindparams(*bound), dict(values)).fetchall())
