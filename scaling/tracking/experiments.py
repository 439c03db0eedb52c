"""The runs of an experiment in a tracking store, ours or somebody else's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scaling.tracking.address import masked
from scaling.tracking.errors import TrackingError
from scaling.tracking.ready import connect, reported, sqlite_path
from scaling.tracking.sql import experiments_in, is_sql, prints_in, runs_in
from scaling.tracking.stored import StoredRun

PAGE = 1000  # runs that a store gives at once
PARENT = "mlflow.parentRunId"
NO_TRAINING = ("report", "law")  # what we put beside the training runs, by kind


def has_experiment(tracking_uri: str, name: str) -> bool:
    """Whether the tracking store exists and has an experiment of this name.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    if not _may_exist(tracking_uri):
        return False
    with _reading(tracking_uri):
        if is_sql(tracking_uri):
            return name in experiments_in(tracking_uri)
        return connect(tracking_uri).get_experiment_by_name(name) is not None


def prints(tracking_uri: str, name: str) -> dict[str, str] | None:
    """Id of each run of an experiment, the oldest first -> what differs when anything of it does.

    None where that costs as much as the runs: of any store but a SQLite file.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    if not _may_exist(tracking_uri):
        return None
    with _reading(tracking_uri):
        return prints_in(tracking_uri, name)


def stored_runs(
    tracking_uri: str, name: str, only: Collection[str] | None = None
) -> list[StoredRun]:
    """The training runs of the experiment ``name``, the oldest first; no report, no law.

    With ``only`` those of these ids, of a store that is a database.

    Raises
    ------
    ValueError
        If there is no such store, or no such experiment in it.
    TrackingError
        If the store does not answer.
    """
    if not _may_exist(tracking_uri):
        shown = masked(tracking_uri)
        raise ValueError(f"there is no tracking store at {shown}; check --tracking-uri")
    with _reading(tracking_uri):
        if is_sql(tracking_uri):
            found, names = runs_in(tracking_uri, name, only)
        else:
            found, names = _asked(tracking_uri, name)
    if found is None:
        there = f"it has {', '.join(names)}" if names else "it has none"
        raise ValueError(f"{masked(tracking_uri)} has no experiment {name!r}; {there}")
    return [run for run in found if run.tags.get("scaling.kind") not in NO_TRAINING]


def _asked(tracking_uri: str, name: str) -> tuple[list[StoredRun] | None, list[str]]:
    """The runs of an experiment, page by page from a server; the names of all experiments."""
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None, sorted(e.name for e in client.search_experiments())
    found: list[StoredRun] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found.extend(map(StoredRun.of, page))
        token = page.token
        if not token:
            return found, []


def without_binders(stored: Sequence[StoredRun]) -> tuple[list[StoredRun], list[str]]:
    """The runs that are no mere parents of others, and a note on those left out.

    A run that has children and no metric only holds them together.
    """
    parents = {run.tags[PARENT] for run in stored if PARENT in run.tags}
    binders = [r for r in stored if r.run_id in parents and not r.metrics]
    notes = []
    if binders:
        names = ", ".join(repr(run.name) for run in binders[:6])
        counted = f"{len(binders)} of {len(stored)} runs only hold others together"
        notes.append(f"{counted} and are left out: {names}")
    none = {run.run_id for run in binders}
    return [run for run in stored if run.run_id not in none], notes


def _may_exist(tracking_uri: str) -> bool:
    """Whether the tracking store is there, as far as its address tells."""
    if tracking_uri.startswith("file:"):  # MLflow would make it
        return Path(unquote(urlsplit(tracking_uri).path)).is_dir()
    path = sqlite_path(tracking_uri)
    return path is None or path.is_file()


@contextmanager
def _reading(tracking_uri: str) -> Iterator[None]:
    """A store that does not answer as one line, with its remedy."""
    try:
        with reported(tracking_uri):
            yield
    except TrackingError as error:
        old = "; a store of an old MLflow needs `mlflow db upgrade`" if is_sql(tracking_uri) else ""
        raise TrackingError(f"{error}; check --tracking-uri{old}") from error
