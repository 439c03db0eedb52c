"""New runs as rows of a SQLite store's tables, many in one transaction.

Tables, columns and defaults are those of the installed MLflow's own models. Nothing about a run's
row is known here beyond what a run says itself: the rest is copied from a run that MLflow's own
client made, and :meth:`Table.agrees` compares, before anything is kept, all that the tables say of
that run with what they would say of it had it been written here.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.tracking.content import OURS, Content

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

LONGEST = 5000  # characters: what MLflow cuts or refuses is left to it
LOCK_SECONDS = 60
_OF_A_RUN = ("run_uuid", "run_id", "source_id", "destination_id", "entity_id", "input_uuid")
_FOUR = ("key", "value", "timestamp", "step")


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
        """Whether MLflow would write all of it as it is."""
        said, tags = self.content, {**self.tags, **self.content.tags}
        texts = (self.name, *said.params.values(), *tags.values())
        return max(map(len, texts)) <= LONGEST and bool(self.name) and said.ended is not None


class Tables:
    """The tables of one experiment in a SQLite store.

    Parameters
    ----------
    connect : function
        It gives a connection.
    experiment_id, like : str
        MLflow's ids of the experiment and of a run of ours in it.
    """

    def __init__(self, connect: Callable[[], Connection], experiment_id: str, like: str) -> None:
        from mlflow.store.db.base_sql_model import Base
        from mlflow.store.tracking.dbmodels import models  # noqa: F401  fills the metadata

        self._connect, self._experiment, self._like = connect, int(experiment_id), like
        self._all: Mapping[str, Table] = Base.metadata.tables

    @classmethod
    @contextmanager
    def of(cls, tracking_uri: str, experiment_id: str, like: str) -> Iterator[Tables]:
        """Those of the store at an address, until the context ends."""
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
        """Alone with the store; without a commit nothing has happened."""
        with self._connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
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
        from sqlalchemy import insert, select

        def of(table: str, column: str, value: str) -> list[dict[str, Any]]:
            one = self._all[table]
            return [
                dict(row)
                for row in connection.execute(select(one).where(one.c[column] == value)).mappings()
            ]

        (row,) = of("runs", "run_uuid", self._like)
        used = of("inputs", "destination_id", self._like)
        marks = [of("input_tags", "input_uuid", one["input_uuid"]) for one in used]
        data = self._all["datasets"]
        known = {
            (one["name"], one["digest"]): one["dataset_uuid"]
            for one in connection.execute(
                select(data).where(data.c.experiment_id == self._experiment)
            ).mappings()
        }
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        made: dict[str, str] = {}
        for run in runs:
            said = run.content
            if (
                not run.is_plain
                or len(used) != bool(said.data)
                or (said.data and said.data not in known)
            ):
                continue
            own = uuid.uuid4().hex
            made[run.run_id] = own
            rows["runs"].append(
                {
                    **row, "run_uuid": own, "name": run.name, "status": said.status,
                    "start_time": run.start, "end_time": said.ended,
                    "artifact_uri": row["artifact_uri"].replace(self._like, own),
                }
            )  # fmt: skip
            tags = {**run.tags, "mlflow.runName": run.name, **said.tags}
            rows["tags"] += [{"run_uuid": own, "key": k, "value": v} for k, v in tags.items()]
            rows["params"] += [
                {"run_uuid": own, "key": k, "value": v} for k, v in said.params.items()
            ]
            values = dict.fromkeys((k, v, round(1000 * s), step) for k, v, s, step in said.values)
            latest: dict[str, tuple[str, float, int, int]] = {}
            for value in values:
                before = latest.setdefault(value[0], value)
                if _newness(value) > _newness(before):
                    latest[value[0]] = value
            for table, those in (("metrics", values), ("latest_metrics", latest.values())):
                rows[table] += [
                    {"run_uuid": own, "is_nan": False, **dict(zip(_FOUR, one, strict=True))}
                    for one in those
                ]
            for one, words in zip(used, marks, strict=True):
                number = uuid.uuid4().hex
                ids = {"input_uuid": number, "source_id": known[said.data], "destination_id": own}  # type: ignore[index]
                rows["inputs"].append({**one, **ids})
                rows["input_tags"] += [{**word, "input_uuid": number} for word in words]
        for table, values_ in rows.items():
            if values_:
                connection.execute(insert(self._all[table]), values_)
        return made

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


def _newness(value: tuple[str, float, int, int]) -> tuple[int, int, float]:
    """By what MLflow tells the latest of a metric's values: step, time, value."""
    return value[3], value[2], value[1]
