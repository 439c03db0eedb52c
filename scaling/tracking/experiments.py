"""The runs of an experiment in a tracking store, ours or somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scaling.tracking.address import masked
from scaling.tracking.errors import TrackingError
from scaling.tracking.ready import connect, reported, sqlite_path

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 1000  # runs that a store gives at once
PARENT = "mlflow.parentRunId"
OURS = "scaling.run_id"
"""The tag that our tracker puts on a run."""


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
        return connect(tracking_uri).get_experiment_by_name(name) is not None


def stored_runs(tracking_uri: str, name: str) -> list[Run]:
    """The training runs of the experiment ``name``, the oldest first; no run of kind ``report``.

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
        client = connect(tracking_uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            names = ", ".join(sorted(e.name for e in client.search_experiments()))
            shown = masked(tracking_uri)
            raise ValueError(f"{shown} has no experiment {name!r}; it has {names}")
        found: list[Run] = []
        token: str | None = None
        while True:
            page = client.search_runs(
                [experiment.experiment_id],
                max_results=PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found.extend(run for run in page if run.data.tags.get("scaling.kind") != "report")
            token = page.token
            if not token:
                return found


def without_binders(stored: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs that are no mere parents of others, and a note on those left out.

    A run that has children and no metric only holds them together.
    """
    parents = {run.data.tags[PARENT] for run in stored if PARENT in run.data.tags}
    binders = [r for r in stored if r.info.run_id in parents and not r.data.metrics]
    notes = []
    if binders:
        names = ", ".join(repr(run.info.run_name) for run in binders[:6])
        counted = f"{len(binders)} of {len(stored)} runs only hold others together"
        notes.append(f"{counted} and are left out: {names}")
    return [run for run in stored if run not in binders], notes


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
        raise TrackingError(f"{error}; check --tracking-uri") from error
