"""A server of MLflow's as a child: a free port, until it answers, its end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from scaling.base import WorkError
from scaling.tracking import set_environment

LOOPBACK = "127.0.0.1"
START_SECONDS = 300.0
JOBS = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
ORIGINS = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"  # of pages, beside the loopback's


def check_port(host: str, port: int) -> None:
    """Refuse an address that nobody can listen at.

    Raises
    ------
    OSError
        If the port is in use.
    ValueError
        If there is no such port, or ``host`` is none of this machine's addresses.
    """
    if not 0 < port < 65536:
        raise ValueError(f"port {port} is not in 1 ... 65535")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ValueError(
                f"{host} is no address of this machine: give {LOOPBACK}, or one that it has"
            ) from None
        raise


def hosts_allowed(*names: str) -> str:
    """The words of a request's ``Host`` that are taken, as MLflow reads them: others may be a
    page elsewhere that has made its own name point here.
    """
    local = ("localhost", LOOPBACK, *names)
    bare = dict.fromkeys(f"[{name}]" if ":" in name else name for name in local)
    # A bracket is a class of characters to MLflow where a star follows.
    return ",".join(f"{name},{name.replace('[', '[[]')}:*" for name in bare)


@contextlib.contextmanager
def listening(
    options: list[str],
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | None,
    health: str,
    problem: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """``mlflow server`` with these options, from when it answers at ``health`` to the end.

    SIGTERM ends it as Ctrl-C does. Without ``output`` its words go to the standard error.

    Raises
    ------
    WorkError
        With ``problem``, if it does not come up.
    """
    set_environment()
    os.environ.setdefault(JOBS, "false")
    # A session of its own: the server has children, and they are ended together.
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options],
        cwd=folder,
        env={**os.environ, **environment},  # `ps` shows arguments to all
        stdin=subprocess.DEVNULL,
        stdout=2 if output is None else output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        if not _comes_up(server, health):
            raise WorkError(problem)
        yield server
    except KeyboardInterrupt:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _comes_up(server: subprocess.Popen[bytes], health: str) -> bool:
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(health, timeout=2):
                return True
        except OSError:
            time.sleep(0.3)
    return False
