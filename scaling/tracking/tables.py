"""New runs as rows of a database's tables, many in one transaction: SQLite's and PostgreSQL's.

Tables, columns and defaults are those of the installed MLflow's own models. Nothing about a run's
row is known here beyond what a run says itself: the rest is copied from a run that MLflow's own
client made, and :meth:`Tables.agrees` compares, before anything is kept, all that the tables say of
that run with what they would say of it had it been written here.
"""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.tracking.content import OURS, Content
from scaling.tracking.values import metric_key

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

NAME = "mlflow.runName"
LONGEST = 5000  # characters: what MLflow cuts or refuses is left to it
LOCK_SECONDS = 60
ENDS = ("FINISHED", "FAILED", "KILLED")
_SECONDS, _INT64 = 1e12, 1 << 63
# One writer at a time: of the file, of an experiment as far as it is written here.
_ALONE = {
    "sqlite": ("PRAGMA foreign_keys = ON", "BEGIN IMMEDIATE"),
    "postgresql": ("SELECT pg_advisory_xact_lock(hashtext('scaling.runs'), {experiment})",),
}
_OF_A_RUN = ("run_uuid", "run_id", "source_id", "destination_id", "entity_id", "input_uuid")

Row = dict[str, Any]
Logged = tuple[str, float, int, int]
"""Of a metric: key, value, milliseconds since 1970, step."""


@dataclass(frozen=True)
class NewRun:
    """A run that is to be made: its ``run_id`` is ours, ``start`` in milliseconds since 1970."""

    run_id: str
    name: str
    start: int
    tags: Mapping[str, str]
    content: Content

    @property
    def is_plain(self) -> bool:
        """Whether it is a run of ours that ended, all of which MLflow would write as it is."""
        said, tags = self.content, {**self.tags, **self.content.tags}
        texts = (self.name, *said.params.values(), *tags.values(), *(said.data or ()))
        keys = {*tags, *said.params, *(key for key, *_ in said.values)}
        steps = [self.start, said.ended or 0, *(step for *_, step in said.values)]
        return (
            bool(self.name and self.start > 0 and said.ended)  # else it puts its own there
            and said.status in ENDS
            and tags.get(OURS) == self.run_id
            and NAME not in tags
            and not any(len(text) > LONGEST or "\0" in text for text in texts)
            and all(metric_key(key) == key for key in keys)
            and all(-_INT64 <= step < _INT64 for step in steps)
            and all(math.isfinite(v) and abs(s) < _SECONDS for _, v, s, _ in said.values)
        )


class Tables:
    """The tables of one experiment.

    Parameters
    ----------
    connect : function
        It gives a connection to SQLite or PostgreSQL.
    experiment_id, like : str
        MLflow's ids of the experiment and of a run of ours in it that is not deleted.
    """

    def __init__(self, connect: Callable[[], Connection], experiment_id: str, like: str) -> None:
        from mlflow.store.db.base_sql_model import Base
        from mlflow.store.tracking.dbmodels import models  # noqa: F401  fills the metadata

        self._connect, self._experiment, self._like = connect, int(experiment_id), like
        self._all: Mapping[str, Table] = Base.metadata.tables

    @classmethod
    @contextmanager
    def of(cls, tracking_uri: str, experiment_id: str, like: str) -> Iterator[Tables]:
        """Those of the SQLite store at an address, until the context ends."""
        from sqlalchemy import create_engine

        engine = create_engine(tracking_uri, connect_args={"timeout": LOCK_SECONDS})
        try:
            yield cls(engine.connect, experiment_id, like)
        finally:
            engine.dispose()

    def agrees(self, run: NewRun) -> bool:
        """Whether ``like``, ``run`` as MLflow's client wrote it, would be the same here."""
        with self._writing() as connection:
            made = self._insert(connection, [run])
            return bool(made) and self._image(connection, made[run.run_id]) == self._image(
                connection, self._like
            )  # and nothing of it is kept

    def add(self, runs: Sequence[NewRun]) -> dict[str, str]:
        """Write those that the experiment has not got, all or none; our ``run_id`` -> MLflow's.

        Those left out may be there, or want data sets that are not.
        """
        with self._writing() as connection:
            there = self._there(connection, [run.run_id for run in runs])
            made = self._insert(connection, [run for run in runs if run.run_id not in there])
            connection.commit()
        return made

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Alone with the tables; without a commit nothing has happened."""
        with self._connect() as connection:
            for words in _ALONE[connection.dialect.name]:
                connection.exec_driver_sql(words.format(experiment=self._experiment))
            yield connection

    def _there(self, connection: Connection, run_ids: Sequence[str]) -> set[str]:
        from sqlalchemy import select

        tags, runs = self._all["tags"].c, self._all["runs"].c
        question = (
            select(tags.value)
            .join(self._all["runs"], runs.run_uuid == tags.run_uuid)
            .where(
                runs.experiment_id == self._experiment, tags.key == OURS, tags.value.in_(run_ids)
            )
        )
        return set(connection.execute(question).scalars())

    def _insert(self, connection: Connection, runs: Sequence[NewRun]) -> dict[str, str]:
        from sqlalchemy import insert

        example = self._example(connection)
        made = {run.run_id: uuid.uuid4().hex for run in runs if example and example.fits(run)}
        rows: dict[str, list[Row]] = defaultdict(list)
        for run in runs:
            if example and run.run_id in made:
                for table, those in example.rows(run, made[run.run_id]).items():
                    rows[table] += those
        for table, those in rows.items():
            if those:
                connection.execute(insert(self._all[table]), those)
        return made

    def _example(self, connection: Connection) -> _Example | None:
        """``like``, as the tables have it; None if it is gone, or is another experiment's."""
        from sqlalchemy import select

        def of(table: str, column: str, value: object) -> list[Row]:
            question = select(self._all[table]).where(self._all[table].c[column] == value)
            return [dict(row) for row in connection.execute(question).mappings()]

        run = of("runs", "run_uuid", self._like)
        links = {
            one["input_uuid"]: (one, of("input_tags", "input_uuid", one["input_uuid"]))
            for one in of("inputs", "destination_id", self._like)
        }
        data = {
            (one["name"], one["digest"]): one["dataset_uuid"]
            for one in of("datasets", "experiment_id", self._experiment)
        }
        there = [(row["experiment_id"], row["lifecycle_stage"]) for row in run]
        is_there = there == [(self._experiment, "active")]
        return _Example(run[0], list(links.values()), data) if is_there else None

    def _image(self, connection: Connection, run: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """All that any table says of a run, its own ids apart."""
        from sqlalchemy import select

        inputs = self._all["inputs"].c
        own = [
            run,
            *connection.execute(
                select(inputs.input_uuid).where(inputs.destination_id == run)
            ).scalars(),
        ]
        found = []
        for name, table in self._all.items():
            for column in (c for c in table.columns if c.name in _OF_A_RUN):
                for row in connection.execute(select(table).where(column.in_(own))).mappings():
                    texts = {key: str(value) for key, value in row.items()}
                    for one in own:
                        texts = {key: text.replace(one, "") for key, text in texts.items()}
                    found.append((f"{name}.{column.name}", sorted(texts.items())))
        return sorted(found)


@dataclass(frozen=True)
class _Example:
    """The row of a run, its links to data sets with their tags, the ids of data sets."""

    run: Row
    links: Sequence[tuple[Row, Sequence[Row]]]
    data: Mapping[tuple[str, str], str]

    def fits(self, run: NewRun) -> bool:
        """Whether a run is one like this, whose data set is there."""
        used = run.content.data
        return run.is_plain and len(self.links) == bool(used) and (not used or used in self.data)

    def rows(self, run: NewRun, own: str) -> dict[str, list[Row]]:
        """Table -> rows of a run that fits, under the id ``own``."""
        said = run.content
        values = dict.fromkeys((k, v, round(1000 * s), step) for k, v, s, step in said.values)
        rows: dict[str, list[Row]] = {
            "runs": [
                {
                    **self.run, "run_uuid": own, "name": run.name, "status": said.status,
                    "start_time": run.start, "end_time": said.ended,
                    "artifact_uri": self.run["artifact_uri"].replace(self.run["run_uuid"], own),
                }
            ],
            "tags": _pairs(own, {**run.tags, NAME: run.name, **said.tags}),
            "params": _pairs(own, said.params),
            "metrics": [_metric(own, value) for value in values],
            "latest_metrics": [_metric(own, value) for value in _latest(values)],
            "inputs": [],
            "input_tags": [],
        }  # fmt: skip
        if said.data:
            for link, tags in self.links:
                ids = {"input_uuid": uuid.uuid4().hex, "destination_id": own}
                rows["inputs"].append({**link, **ids, "source_id": self.data[said.data]})
                rows["input_tags"] += [{**tag, "input_uuid": ids["input_uuid"]} for tag in tags]
        return rows


def _pairs(own: str, pairs: Mapping[str, str]) -> list[Row]:
    return [{"run_uuid": own, "key": key, "value": value} for key, value in pairs.items()]


def _metric(own: str, value: Logged) -> Row:
    key, number, at, step = value
    return {"run_uuid": own, "key": key, "value": number, "timestamp": at, "step": step,
            "is_nan": False}  # fmt: skip


def _latest(values: Iterable[Logged]) -> Iterable[Logged]:
    """Of each metric the value that MLflow calls its latest."""
    latest: dict[str, Logged] = {}
    for value in values:
        before = latest.setdefault(value[0], value)
        if _newness(value) > _newness(before):
            latest[value[0]] = value
    return latest.values()


def _newness(value: Logged) -> tuple[int, int, float]:
    """By what MLflow tells the latest of a metric's values: step, time, value."""
    return value[3], value[2], value[1]
