"""The tracking store made ready: MLflow's settings, a client, the schema, an experiment, errors."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.address import masked
from scaling.tracking.errors import DeletedError, TrackingError, reason
from scaling.tracking.moved import artifacts_of, follow_store
from scaling.tracking.notes import NOTE_TAG, with_head
from scaling.tracking.view import VIEW_TAG, chart_view

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 120.0
SUPERSEDED = "superseded"  # the status of a run whose journal was thrown away and begun anew
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def set_environment() -> None:
    """Settings that MLflow reads when it is imported; the user's own come first."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def sent_once() -> Iterator[None]:
    """Keep MLflow's client from sending a request again whose answer was lost.

    What it makes may be there, and a second request would make a second one.
    """
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def connect(tracking_uri: str) -> MlflowClient:
    """A client of the tracking store.

    Raises
    ------
    TrackingError
        If it does not answer.
    ValueError
        If the URI is of no known kind.
    """
    with reported(tracking_uri):
        from mlflow import MlflowClient
        from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

        try:
            return MlflowClient(tracking_uri=tracking_uri)
        except UnsupportedModelRegistryStoreURIException:
            raise ValueError(
                f"tracking URI {masked(tracking_uri)!r} is of no known kind: give "
                "sqlite:///FILE or http://HOST:PORT"
            ) from None


def prepare(
    tracking_uri: str,
    experiment: str,
    description: str = "",
    *,
    options: Sequence[str] = (),
    restore: bool = False,
) -> str:
    """Make the tracking store ready: schema, experiment and its note; the experiment's id.

    Clients that meet an empty SQLite store at once kill each other while they create its
    tables, so this is done once, before anybody else writes. ``restore`` brings an experiment
    that was deleted back, with its runs. ``options`` are params that its table shows; with a
    ``description`` they replace those that were shown before.

    Raises
    ------
    TrackingError
        If the store does not answer.
    DeletedError
        If the experiment was deleted and is not to be restored.
    ValueError
        If the URI is of no known kind.
    """
    path = sqlite_path(tracking_uri)
    with _exclusive(path) if path else contextlib.nullcontext():
        client = _connect_upgraded(tracking_uri) if path else connect(tracking_uri)
        with reported(tracking_uri):
            if path:
                follow_store(path)
            found = client.get_experiment_by_name(experiment)
            if found is None:
                # The default place would be below whatever folder this process runs in.
                artifacts = artifacts_of(path, experiment) if path else None
                experiment_id = client.create_experiment(experiment, artifact_location=artifacts)
            elif found.lifecycle_stage == "deleted" and not restore:
                raise DeletedError(
                    f"experiment {experiment!r} was deleted in "
                    f"{masked(tracking_uri)}: `scaling sync "
                    f"{shlex.quote(experiment)} --restore` brings it back"
                )
            else:
                experiment_id = found.experiment_id
            if found is not None and found.lifecycle_stage == "deleted":
                client.restore_experiment(experiment_id)
                # What we had deleted ourselves came back with the rest.
                old = f"tags.`scaling.status` = '{SUPERSEDED}'"
                for run in client.search_runs([experiment_id], old, max_results=50_000):
                    client.delete_run(run.info.run_id)
            shown, view = found.tags.get(VIEW_TAG) if found else None, chart_view(options)
            if not shown or (description and shown != view):  # what users share has other keys
                client.set_experiment_tag(experiment_id, VIEW_TAG, view)
            if description:
                before = found.tags.get(NOTE_TAG, "") if found else ""
                client.set_experiment_tag(experiment_id, NOTE_TAG, with_head(before, description))
    return str(experiment_id)


def _connect_upgraded(tracking_uri: str) -> MlflowClient:
    """A client of a SQLite store, its schema brought up to this MLflow's."""
    try:
        return connect(tracking_uri)
    except TrackingError as error:
        # MLflow has no error type or code for an old schema: the command that it names tells.
        if "mlflow db upgrade" not in str(error.__cause__):
            raise
    from mlflow.db import upgrade

    with reported(tracking_uri):
        upgrade.callback(tracking_uri)
    return connect(tracking_uri)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from making the same SQLite file.

    Not on file systems without locks; who holds one for long is not waited for.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + LOCK_SECONDS
    with path.with_name(path.name + ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(0.1)
                    continue
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            break
        yield


@contextlib.contextmanager
def reported(tracking_uri: str) -> Iterator[None]:
    """Turn MLflow's errors into one line, and keep its libraries' warnings from the user."""
    set_environment()
    with warnings.catch_warnings():
        # MLflow 3.17 uses an SQLAlchemy option that SQLAlchemy 2.1 deprecates.
        warnings.simplefilter("ignore")
        try:
            yield
        except _errors_of_stores() as error:
            shown, why = masked(tracking_uri), reason(masked(str(error)))
            status = getattr(error, "get_http_status_code", lambda: 0)()
            if status in (401, 403):
                raise TrackingError(
                    f"the tracking store {shown} refuses who asks (HTTP {status}): set "
                    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or give a user who may"
                ) from error
            raise TrackingError(f"the tracking store {shown} does not answer: {why}") from error


def _errors_of_stores() -> tuple[type[Exception], ...]:
    """SQLite's, and MLflow's and SQLAlchemy's if they are imported: MLflow takes seconds."""
    names = {"mlflow.exceptions": "MlflowException", "sqlalchemy.exc": "SQLAlchemyError"}
    found = (getattr(sys.modules[m], n) for m, n in names.items() if m in sys.modules)
    return (sqlite3.Error, *found)


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite store; None for a store of another kind."""
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None
