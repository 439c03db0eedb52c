"""``ui``: the MLflow UI on the right store, opened at the charts of a sweep."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from cluster.tracking.address import told_address
from cluster.tracking.listening import (
    HOSTS,
    LOOPBACK,
    ORIGINS,
    check_port,
    hosts_allowed,
    listening,
)
from scaling.base import Store, note
from scaling.tracking import (
    VIEW_TAG,
    chart_url,
    connect,
    follow_store,
    masked,
    reported,
    sqlite_path,
)

# MLflow's assistant opens over a quarter of the page where the address is localhost, 127.0.0.1 or
# ::1; browsers take names under localhost for the loopback too (RFC 6761, 6.3).
PAGE = "mlflow.localhost"


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
    uri = told_address(store, sweep, tracking_uri)
    if uri.startswith(("http://", "https://")):
        page = urlsplit(uri)  # the link is without user information
        host = page.netloc.rpartition("@")[2]
        print(_chart_page(page._replace(netloc=host).geturl().rstrip("/"), uri, sweep))
        return 0
    path = sqlite_path(uri)
    if path and not path.exists():
        raise ValueError(f"there is no tracking store at {path}: submit a sweep first")
    check_port(LOOPBACK, port)
    if path:
        follow_store(path)
    url = _chart_page(f"http://{PAGE}:{port}", uri, sweep)
    folder = path.parent if path else store.root
    options = ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    options += ["--artifacts-destination", str(folder / "artifacts")]
    log, health = folder / "ui.log", f"http://{LOOPBACK}:{port}/health"
    problem = f"the MLflow UI did not come up: see {log}"
    note("starting the MLflow UI ...")
    environment = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        HOSTS: os.environ.get(HOSTS) or hosts_allowed(PAGE),
        ORIGINS: os.environ.get(ORIGINS) or f"http://{PAGE}:{port}",
    }
    with (
        log.open("wb") as output,
        listening(options, environment, folder, output, health, problem) as server,
    ):
        print(url, flush=True)
        note(
            f"Ctrl-C ends it; a browser that does not know {PAGE} finds it at {LOOPBACK}:{port}, "
            "where MLflow's assistant opens at first"
        )
        return server.wait()
    return 0


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
