"""MLflow's server as a process that can be killed and be back within moments.

``python -m tests.mlflow_server PORT`` imports it once, which takes seconds; each line that it reads
then ends the server that runs, as SIGKILL does, and starts another: a fork, with connections to the
database of its own. It says ``up`` when the first can be started, ``gone`` when one was ended.
With a second argument it is a team's (``cluster/tracking/app.py``).
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import uvicorn
from mlflow.server.fastapi_app import app

from cluster.tracking.app import create_app


def main() -> None:
    port, child = int(sys.argv[1]), 0
    is_team = len(sys.argv) > 2
    if is_team:
        import_module("mlflow.server.auth")
    print("up", flush=True)
    for _ in sys.stdin:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        print("gone", flush=True)
        child = os.fork()
        if not child:
            served = create_app() if is_team else app
            uvicorn.run(served, host="127.0.0.1", port=port, log_level="warning")
            os._exit(0)
    if child:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
