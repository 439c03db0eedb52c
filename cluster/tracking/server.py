"""``ui``: the MLflow UI on the right store, opened at the charts of a sweep."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from cluster.tracking.address import address
from scaling.base import Store, WorkError, note
from scaling.tracking import (
    VIEW_TAG,
    chart_url,
    connect,
    masked,
    reported,
    set_environment,
    sqlite_path,
)

HOST = "127.0.0.1"
START_SECONDS = 300.0


def serve(
    port: int, root: str | None = None, tracking_uri: str | None = None, sweep: str | None = None
) -> int:
    """Serve the tracking store on 127.0.0.1 until interrupted, and say where.

    Raises
    ------
    OSError
        If the port is in use.
    ValueError
        If there is no tracking store or no such sweep in it.
    WorkError
        If the server does not come up.
    """
    store = Store.at(root)
    uri = address(store, sweep, tracking_uri)
    if uri.startswith(("http://", "https://")):
        page = urlsplit(uri)  # the link is without user information
        host = page.netloc.rpartition("@")[2]
        print(_chart_page(page._replace(netloc=host).geturl().rstrip("/"), uri, sweep))
        return 0
    path = sqlite_path(uri)
    if path and not path.exists():
        raise ValueError(f"there is no tracking store at {path}: submit a sweep first")
    _check_port(port)
    url = _chart_page(f"http://{HOST}:{port}", uri, sweep)
    set_environment()
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    folder = path.parent if path else store.root
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    log = folder / "ui.log"
    with log.open("wb") as output:
        # A session of its own: the server has children, and they are ended together.
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "MLFLOW_BACKEND_STORE_URI": uri},  # `ps` shows arguments to all
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        note("starting the MLflow UI ...")
        _wait_until_up(server, port, log)
        print(url, flush=True)
        note("Ctrl-C ends it")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _chart_page(base: str, uri: str, sweep: str | None) -> str:
    """The address of the charts of ``sweep``, or of the experiment that changed last."""
    client = connect(uri)
    with reported(uri):
        if sweep:
            found = client.get_experiment_by_name(sweep)
        else:
            listed = client.search_experiments(order_by=["last_update_time DESC"], max_results=2)
            found = next((e for e in listed if e.name != "Default"), None)
    if found is None and sweep:
        raise ValueError(f"the tracking store {masked(uri)} has no sweep {sweep!r}")
    if found is None:
        return base
    return chart_url(base, found.experiment_id, view=VIEW_TAG in found.tags)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OverflowError:
            raise ValueError(f"port {port} is not in 0 ... 65535") from None


def _wait_until_up(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise WorkError(f"the MLflow UI did not come up: see {log}")
