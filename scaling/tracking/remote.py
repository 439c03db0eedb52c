"""Many runs in one request to a ``scaling server``: what is asked, and how it is answered there.

Another server has no such route and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scaling.tracking.errors import TrackingError, UnsureError
from scaling.tracking.ready import reported
from scaling.tracking.tables import NewRun, Tables

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from requests import Response
    from sqlalchemy import Connection

ROUTE = "/api/2.0/scaling/runs"
LARGEST = 1 << 23  # bytes of a request
# Who asked without a right, or before a proxy whose server is away: not what a route says.
REFUSED, AWAY = (401, 403), (429, 502, 503, 504)


@dataclass(frozen=True)
class Asked:
    """``runs`` to be made in an experiment, as ``run_id`` was, which MLflow made of ``example``.

    Ids are MLflow's, the experiment's and the run's.
    """

    experiment_id: str
    run_id: str
    example: NewRun
    runs: Sequence[NewRun]


@lru_cache(maxsize=1)
def _document() -> TypeAdapter[Asked]:
    """How it is written as JSON, and read and checked."""
    from pydantic import TypeAdapter

    return TypeAdapter(Asked)


def answer(connect: Callable[[], Connection], told: object) -> dict[str, Any]:
    """Make the runs that a JSON document asks for in the tables to which ``connect`` leads.

    Returns
    -------
    dict
        ``agrees``: whether the document's example would be written as MLflow's client did;
        ``made``: our ``run_id`` -> MLflow's of the runs that were made, all at once. None are
        where it does not agree; runs that are there, or that MLflow would refuse or change, are
        left out.

    Raises
    ------
    ValueError
        If the document is none of these.
    """
    asked = _document().validate_python(told)
    # "05" is 5 to the tables, and another experiment to who looks after permissions.
    experiment = asked.experiment_id
    if not re.fullmatch("0|[1-9][0-9]{,8}", experiment):
        raise ValueError(f"experiment_id {experiment!r} is no id of an experiment")
    if len({run.run_id for run in asked.runs}) < len(asked.runs):
        raise ValueError("a run_id is there twice: ask for each run once")
    tables = Tables(connect, experiment, asked.run_id)
    agrees = tables.agrees(asked.example)
    return {"agrees": agrees, "made": tables.add(asked.runs) if agrees and asked.runs else {}}


@dataclass
class Remote:
    """The tables behind a ``scaling server``, as :class:`Tables` are used."""

    uri: str
    experiment_id: str
    like: str
    _example: list[NewRun] = field(default_factory=list)

    @classmethod
    @contextmanager
    def of(cls, tracking_uri: str, experiment_id: str, like: str) -> Iterator[Remote]:
        """Those of the server at an address."""
        yield cls(tracking_uri, experiment_id, like)

    def agrees(self, run: NewRun) -> bool:
        """Whether ``like``, ``run`` as MLflow's client wrote it, would be the same there."""
        self._example = [run]
        return bool(self._ask([]).get("agrees"))

    def add(self, runs: Sequence[NewRun]) -> dict[str, str]:
        """Write those that the experiment has not got; our ``run_id`` -> MLflow's.

        Raises
        ------
        UnsureError
            If no answer came.
        """
        return dict(self._ask(runs).get("made", {}))

    def _ask(self, runs: Sequence[NewRun]) -> dict[str, Any]:
        asked = Asked(self.experiment_id, self.like, self._example[0], runs)
        body = _document().dump_json(asked)
        if len(body) > LARGEST:
            if len(runs) < 2:
                return {}
            half = len(runs) // 2
            return {"made": self.add(runs[:half]) | self.add(runs[half:])}
        try:
            return _request(self.uri, "POST", data=body)
        except TrackingError as error:
            raise UnsureError(str(error)) from error


def takes_many(tracking_uri: str) -> bool:
    """Whether the store is a server that has the route.

    Raises
    ------
    TrackingError
        If it does not answer.
    """
    return tracking_uri.startswith("http") and "largest" in _request(tracking_uri, "GET")


def _request(uri: str, method: str, **content: Any) -> dict[str, Any]:
    """What is answered at the route; empty where that is no document, or says what is wrong."""
    with reported(uri):
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        said: Response = http_request(
            get_default_host_creds(uri),
            ROUTE,
            method,
            extra_headers={"Content-Type": "application/json"},
            retry_codes=(),
            **content,
        )
        if said.status_code in REFUSED + AWAY:
            verify_rest_response(said, ROUTE)  # it raises
    try:
        told = said.json() if said.status_code == 200 else {}
    except ValueError:  # a proxy's page
        told = {}
    return told if isinstance(told, dict) else {}
