"""MLflow's app with passwords and one more route: many runs in one request.

``mlflow server --app-name scaling-lab`` starts it, in each of its processes.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from scaling.tracking import LARGEST, ROUTE, answer, reason

USERS = "MLFLOW_AUTH_CONFIG_PATH"
INVALID, TOO_LARGE = 400, 413


def create_app() -> Any:
    """MLflow's app for uvicorn, from its own factory."""
    from mlflow.protos.service_pb2 import CreateRun, UpdateRun
    from mlflow.server import app, auth

    def may_ask() -> bool:
        """Who may make a run in the experiment, and change the one that is there."""
        may = auth.BEFORE_REQUEST_HANDLERS
        return bool(may[CreateRun]() and may[UpdateRun]())

    auth.BEFORE_REQUEST_VALIDATORS |= {(ROUTE, "POST"): may_ask, (ROUTE, "GET"): lambda: True}
    app.add_url_rule(ROUTE, "scaling_runs", add_runs, methods=["GET", "POST"])
    # The first start makes the tables of accounts: one process after another.
    with Path(os.environ[USERS]).open() as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        return auth.create_app(app)


def add_runs() -> tuple[dict[str, Any], int]:
    """Make the runs that the request's document asks for; asked by GET, say that it can be done."""
    from flask import request
    from mlflow.server.handlers import _get_tracking_store

    if request.method == "GET":
        return {"largest": LARGEST}, 200
    size = len(request.get_data())
    if size > LARGEST:
        return {"message": f"{size} bytes are more than {LARGEST}: ask for fewer runs"}, TOO_LARGE
    try:
        return answer(_get_tracking_store().engine.connect, request.get_json(silent=True)), 200
    except ValueError as error:
        return {"message": reason(str(error))}, INVALID
