"""``scaling server``: MLflow for a team, on PostgreSQL, with passwords.

The address of the database holds no password, here and in what is started: the secrets go to the
server by its environment, under the names that PostgreSQL and MLflow give them.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from cluster.tracking.app import USERS
from cluster.tracking.credentials import (
    ADMIN_NAME,
    ADMIN_PASSWORD,
    COOKIES,
    DATABASE_PASSWORD,
    read_credentials,
)
from cluster.tracking.database import database_address, has_user, make_ready
from cluster.tracking.listening import HOSTS, JOBS, LOOPBACK, check_port, hosts_allowed, listening
from cluster.tracking.prompt import LOOP
from scaling.base import note
from scaling.tracking import masked

PERMISSIONS = ("READ", "EDIT", "MANAGE", "NO_PERMISSIONS")
APP = "scaling-lab"  # cluster/tracking/app.py, by pyproject.toml
PASSWORD_LENGTH = 12  # MLflow's least
# A password that was right: to check it costs ten times a small request. Several workers do not
# tell each other that it was changed, so it holds that long where another one took the change.
REMEMBER_SECONDS, REMEMBER_SECONDS_EACH = 60, 10
MODULES = {"psycopg2": "psycopg2-binary", "flask_wtf": "Flask-WTF"}


@dataclass(frozen=True)
class TeamServer:
    """What is served, where and to whom.

    Attributes
    ----------
    database : str
        ``postgresql://USER@HOST:PORT/NAME``, without a password.
    artifacts : Path
        The folder of the runs' files; clients read and write them through the server.
    host, port : str, int
        Where it listens.
    allowed_hosts : tuple of str
        Names by which clients may ask for it, beside ``host`` and the loopback's.
    workers : int
    permission : str
        What a user may do with experiments of others: one of ``PERMISSIONS``.
    """

    database: str
    artifacts: Path
    host: str = LOOPBACK
    port: int = 5000
    allowed_hosts: tuple[str, ...] = ()
    workers: int = 1
    permission: str = "READ"

    def __post_init__(self) -> None:
        object.__setattr__(self, "database", database_address(self.database))
        if self.workers < 1:
            raise ValueError(f"--workers {self.workers} is not at least 1")
        wrong = [name for name in self.allowed_hosts if not name or set(name) & set("*/,@ ")]
        if wrong:
            raise ValueError(f"--allowed-host {wrong[0]!r} is not a host's name, as mlflow.lab.org")
        if self.is_everywhere and not self.allowed_hosts:
            raise ValueError(
                f"--host {self.host} listens at every address of this machine: name those by which "
                "it may be asked for, with --allowed-host"
            )

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens at all addresses of the machine."""
        return self.host in ("0.0.0.0", "::")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """Where it is, for people."""
        name = self.allowed_hosts[0] if self.is_everywhere else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}"


def check(server: TeamServer, given: Mapping[str, str], *, upgrade: bool) -> None:
    """All that can be checked before the server starts; an empty database gets its tables.

    Raises
    ------
    ValueError, OSError, WorkError
        In one line: what is wrong, and what to do.
    """
    missing = [package for module, package in MODULES.items() if find_spec(module) is None]
    if missing:
        raise ValueError(
            f"a server needs {' and '.join(missing)}: pip install 'scaling-lab[server]'"
        )
    check_port(server.host, server.port)
    _check_folder(server.artifacts)
    password = given.get(DATABASE_PASSWORD)
    make_ready(server.database, password, upgrade=upgrade)
    admin, secret = given.get(ADMIN_NAME, "admin"), given.get(ADMIN_PASSWORD)
    if secret is None and not has_user(server.database, password, admin):
        raise ValueError(
            f"the server has no user {admin!r} yet: give {ADMIN_PASSWORD} in the environment or "
            "--credentials"
        )
    if secret is not None and len(secret) < PASSWORD_LENGTH:
        raise ValueError(f"{ADMIN_PASSWORD} is shorter than {PASSWORD_LENGTH} characters")


def check_team(server: TeamServer, credentials: Path | None, *, upgrade: bool) -> dict[str, str]:
    """``check`` with these credentials; what is ready: ``database``, ``artifacts``, ``url``."""
    check(server, read_credentials(credentials), upgrade=upgrade)
    return {
        "database": masked(server.database),
        "artifacts": str(server.artifacts),
        "url": server.url,
    }


def serve_team(server: TeamServer, credentials: Path | None, *, upgrade: bool) -> int:
    """Check, then serve until interrupted.

    Raises
    ------
    ValueError, OSError, WorkError
        If something is wrong, or the server does not come up.
    """
    given = read_credentials(credentials)
    check(server, given, upgrade=upgrade)
    note("starting the server ...")
    with tempfile.TemporaryDirectory() as folder:  # without a secret in it
        users = Path(folder) / "users.ini"
        users.write_text(_users(server), encoding="utf-8")
        environment = {
            COOKIES: secrets.token_hex(32),
            **given,
            "MLFLOW_BACKEND_STORE_URI": server.database,
            USERS: str(users),
            HOSTS: hosts_allowed(server.host, *server.allowed_hosts),
        }
        options = ["--app-name", _app(), "--host", server.host, "--port", str(server.port)]
        options += ["--workers", str(server.workers)]
        if server.workers > 1:
            options += ["--uvicorn-opts", f"--loop {LOOP}"]
        options += ["--artifacts-destination", server.artifacts.resolve().as_uri()]
        reached = LOOPBACK if server.is_everywhere else server.host
        health = f"http://{f'[{reached}]' if ':' in reached else reached}:{server.port}/health"
        problem = "the server did not come up: its words are above"
        with listening(options, environment, Path(folder), None, health, problem) as process:
            print(server.url, flush=True)
            note(_reach(server))
            return process.wait()
    return 0


def _app() -> str:
    """MLflow's name of what to serve: ours, where this installation knows it."""
    if os.environ.get(JOBS, "").lower() in ("true", "1"):
        return "basic-auth"  # MLflow gives its jobs a token of that app's alone
    if entry_points(group="mlflow.app", name=APP):
        return APP
    note(
        "many runs come one by one: this installation was edited in place, and does not say that "
        f"{APP} is an app of MLflow's; pip install it again"
    )
    return "basic-auth"


def _reach(server: TeamServer) -> str:
    if server.is_local:
        return f"it listens on {server.host}, for this machine only; Ctrl-C ends it"
    where = "every address of this machine" if server.is_everywhere else server.host
    return (
        f"it listens on {where}, for whoever reaches it, and passwords go there unencrypted: put "
        "a proxy with TLS before it; Ctrl-C ends it"
    )


def _users(server: TeamServer) -> str:
    """MLflow's settings of who may what; percent signs are its file's own."""
    address = server.database.replace("%", "%%")
    return f"""[mlflow]
default_permission = {server.permission}
database_uri = {address}
admin_username = admin
auth_cache_ttl_seconds = {REMEMBER_SECONDS if server.workers == 1 else REMEMBER_SECONDS_EACH}
"""


def _check_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
