"""``scaling watch``: a page on the loopback that follows a sweep by its journals.

Part of the front door: it joins how the runs stand (``cluster``) with what they say (``analysis``).
It asks no tracking store, and answers nobody but this machine.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from scaling.base import NoAnswerError, Store, jsonable, note

if TYPE_CHECKING:
    from analysis.fits import Fit
    from analysis.forecasts import Forecast
    from analysis.report import State
    from cluster.status import SweepStatus

LOOPBACK = "127.0.0.1"
REFRESH_SECONDS = 2.0
SHARE = 8.0  # a look takes at most one part in so many of the time


def add_command(subparsers: Any) -> None:
    """Describe it."""
    watch = subparsers.add_parser("watch", help="a page that follows a sweep, on this machine")
    watch.add_argument("name", metavar="SWEEP", help="a submitted sweep's name")
    watch.add_argument("--port", type=int, default=8050, metavar="P", help="0: any free (8050)")
    watch.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    watch.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until interrupted."""
    if not 0 <= args.port < 65536:
        raise ValueError(f"--port {args.port}: a port is 0 (any free one) to 65535")
    watched = Watched(Store.at(args.root), args.name)
    watched.look()
    server = serve(watched, args.port)
    note(
        f"{args.name} is at http://{LOOPBACK}:{server.server_port}/ for this machine only; Ctrl-C "
        "ends the page, not the sweep"
    )
    over = threading.Event()
    looking = threading.Thread(target=watched.follow, args=(over,), daemon=True)
    looking.start()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        note("the page is closed; the sweep goes on")
    finally:
        over.set()
        server.server_close()
    return 0


@dataclass
class Watched:
    """A sweep that is looked at again and again; ``now`` is what was seen last.

    The law and the forecast are made anew only when another run has ended.
    """

    store: Store
    name: str
    now: bytes = b"{}"
    status: SweepStatus | None = None
    known: tuple[int, Fit | None, str, Forecast | None] = field(default=(-1, None, "", None))

    def follow(self, over: threading.Event) -> None:
        """Look until ``over`` is set; what cannot be read is said on the page."""
        took = 0.0
        while not over.wait(max(REFRESH_SECONDS, SHARE * took)):
            began = time.monotonic()
            try:
                self.look()
            except (ValueError, OSError, NoAnswerError) as error:
                told = {**json.loads(self.now), "summary": f"cannot be read: {error}"}
                self.now = json.dumps(told).encode()
            took = time.monotonic() - began

    def look(self) -> None:
        """Read the journals once.

        Raises
        ------
        ValueError
            If there is no such sweep.
        """
        from analysis.report import Findings, live_values
        from analysis.tables import load_curves, load_runs
        from cluster.status import summary, sweep_status

        self.status = sweep_status(self.name, self.store.root, before=self.status)
        runs = load_runs(self.name, root=self.store.root)
        fit, why, expected = self._law(runs)
        found = Findings(
            runs,
            fits=[fit] if fit else [],
            curves=load_curves(self.name, root=self.store.root),
            expected=expected,
            no_law=why,
        )
        total = self.status.flops_total
        told = {
            "summary": summary(self.status),
            "share": self.status.flops_done / total if total else 1.0,
            "at": time.strftime("%H:%M:%S"),
            **live_values(found, [_state(run) for run in self.status.runs]),
        }
        self.now = json.dumps(jsonable(told), allow_nan=False).encode()

    def _law(self, runs: Any) -> tuple[Fit | None, str, Forecast | None]:
        """The law as it is kept with the sweep or usual, and the forecast, of the runs so far."""
        from analysis import forecast
        from analysis.commands import Source, fit_of, fit_options

        ended = int((runs["exclude_reason"] == "").sum())
        if ended == self.known[0]:
            return self.known[1:]
        fit: Fit | None = None
        expected: Forecast | None = None
        why = ""
        try:
            source = Source(self.name, root=str(self.store.root))
            how = fit_options(source, argparse.Namespace()).fit
            fitted = fit_of(runs, replace(how, bootstrap=0))
            if how.law is None and fitted.untold:
                raise NoAnswerError(fitted.untold)
            fit = fitted
            expected = forecast(runs, x_col=how.x_col)
        except (ValueError, NoAnswerError) as error:
            why = str(error)
        self.known = (ended, fit, why, expected)
        return self.known[1:]


def _state(run: Any) -> State:
    from analysis.report import State

    left = "" if run.seconds_left is None else f"{run.seconds_left / 60:.0f} min"
    return State(run.run_id, run.name, run.state, run.progress, run.loss, left, run.reason)


def serve(watched: Watched, port: int) -> ThreadingHTTPServer:
    """The server, listening on the loopback; whoever has it calls ``serve_forever``.

    Raises
    ------
    ValueError
        If the port is taken.
    """
    from analysis.report import live_page

    page = live_page(watched.name).encode()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "scaling", ""

        def do_GET(self) -> None:
            host = self.headers.get("Host", "")
            allowed = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}  # type: ignore[attr-defined]
            if host not in allowed:  # a name that somebody else's page made point here
                self._answer(HTTPStatus.FORBIDDEN, b"unknown host\n", "text/plain")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8")
            elif self.path == "/now":
                self._answer(HTTPStatus.OK, watched.now, "application/json")
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"not here\n", "text/plain")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a request each second is no news."""

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise ValueError(f"--port {port}: {error.strerror}; 0 takes any free one") from None
