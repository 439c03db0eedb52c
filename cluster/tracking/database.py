"""A PostgreSQL database for MLflow, looked at and made ready before a server starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scaling.base import WorkError
from scaling.tracking import masked, reason, reported

if TYPE_CHECKING:
    from sqlalchemy import Engine

CONNECT_SECONDS = 10
DRIVER = "postgresql+psycopg2"


def database_address(given: str) -> str:
    """The address as SQLAlchemy takes it, without any secret.

    Raises
    ------
    ValueError
        If it is none of PostgreSQL's, names no database, or holds a password.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(
            f"--database {masked(given)!r} is not postgresql://USER@HOST:PORT/NAME; a store in a "
            "file is shown by `scaling ui`"
        )
    if url.password is not None or "password" in url.query:
        raise ValueError(
            f"the password in --database {masked(given)!r} can be read by everybody on this "
            "machine: put PGPASSWORD into the environment or --credentials"
        )
    if not url.database:
        raise ValueError(f"--database {masked(given)!r} names no database: end it with /NAME")
    return url.set(drivername=DRIVER).render_as_string(hide_password=False)


def make_ready(address: str, password: str | None, *, upgrade: bool) -> None:
    """Check that the database answers and has this MLflow's tables; make them if it is empty.

    Raises
    ------
    WorkError
        If it does not answer, or has the tables of another MLflow; with ``upgrade`` older ones
        are brought up to date.
    ModuleNotFoundError
        Without the extra ``server``.
    """
    shown = masked(address)
    with _engine(address, password) as engine, reported(address):
        current, newest, known = _revisions(engine)
        if current == newest:
            return
        if current is not None and current not in known:
            raise WorkError(
                f"the database {shown} has tables of a newer MLflow (revision {current}; this one "
                f"knows up to {newest}): install that MLflow here"
            )
        if current is not None and not upgrade:
            raise WorkError(
                f"the database {shown} has tables of an older MLflow (revision {current}, this one "
                f"needs {newest}): back it up, then start with --upgrade"
            )
        from mlflow.store.db.utils import _initialize_tables, _upgrade_db

        (_initialize_tables if current is None else _upgrade_db)(engine)


def has_user(address: str, password: str | None, name: str) -> bool:
    """Whether MLflow's table of users has one of this name."""
    from sqlalchemy import inspect, text

    with _engine(address, password) as engine, reported(address):
        if not inspect(engine).has_table("users"):
            return False
        with engine.connect() as connection:
            asked = text("SELECT 1 FROM users WHERE username = :name")
            return connection.execute(asked, {"name": name}).first() is not None


def _revisions(engine: Engine) -> tuple[str | None, str, set[str]]:
    """The revision of the tables, the newest that this MLflow knows, and all of them."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import (
        _get_alembic_config,
        _get_latest_schema_revision,
        _get_schema_version,
    )

    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    known = {script.revision for script in scripts.walk_revisions()}
    return _get_schema_version(engine), _get_latest_schema_revision(), known


@contextmanager
def _engine(address: str, password: str | None) -> Iterator[Engine]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool

    given: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if password:
        given["password"] = password
    engine = create_engine(address, poolclass=NullPool, connect_args=given)
    try:
        try:
            engine.connect().close()
        except OperationalError as error:
            why = reason(masked(str(error.orig)))
            raise WorkError(f"the database {masked(address)} does not answer: {why}") from None
        yield engine
    finally:
        engine.dispose()
