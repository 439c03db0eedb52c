"""A tracking server that is killed and back within moments, seen from a test."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.postgres import PASSWORD, free_port


def status(url, user=None, host=None):
    headers = {"Host": host} if host else {}
    if user:
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


class Server:
    """One that is killed and back at once; see ``tests/mlflow_server.py``.

    With ``admin``, a password, it is a team's, and its other users may read.
    """

    def __init__(self, address: str, folder: Path, admin: str = "") -> None:
        self.port = free_port()
        users = folder / "users.ini"
        words = f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {address}\n"
        words += "auth_cache_ttl_seconds = 60\n"
        users.write_text(f"{words}admin_username = admin\nadmin_password = {admin}\n")
        environment = {
            "PGPASSWORD": PASSWORD,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "_MLFLOW_SERVER_FILE_STORE": address,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "MLFLOW_AUTH_CONFIG_PATH": str(users),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-forms",
        }
        self.log = folder / "server.log"
        team = ["app"] if admin else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    "tests.mlflow_server",
                    str(self.port),
                    *team,
                ],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout.readline() == "up\n", self.log.read_text()

    def anew(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "gone\n", self.log.read_text()

    def wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if status(f"http://127.0.0.1:{self.port}/health") == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        self.process.communicate("")
