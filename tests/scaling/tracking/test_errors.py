"""The words of requests, urllib3 and SQLAlchemy, as they are, in one short line."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scaling.tracking import TrackingError, connect, reported
from scaling.tracking.errors import reason

POOL = (
    "API request to http://h:9/api/2.0/mlflow/experiments/get-by-name failed with exception "
    "HTTPConnectionPool(host='h', port=9): "
)
MOST = "Max retries exceeded with url: /api/2.0/mlflow/experiments/get-by-name?experiment_name=s "


@pytest.mark.parametrize(
    ("words", "short"),
    [
        (
            f"{POOL}{MOST}(Caused by NewConnectionError(\"HTTPConnection(host='h', port=9): Failed "
            'to establish a new connection: [Errno 111] Connection refused"))',
            "Connection refused",
        ),
        (
            f"{POOL}{MOST}(Caused by NameResolutionError(\"HTTPConnection(host='h', port=9): "
            "Failed to resolve 'h' ([Errno -2] Name or service not known)\"))",
            "Name or service not known",
        ),
        (
            f"{POOL}{MOST}(Caused by ResponseError('too many 503 error responses'))",
            "too many 503 error responses",
        ),
        (f"{POOL}Read timed out. (read timeout=20)", "Read timed out"),
        (
            "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO runs VALUES "
            "(?)]\n(Background on this error at: https://sqlalche.me/e/20/e3q8)",
            "(sqlite3.OperationalError) database or disk is full",
        ),
        ("RESOURCE_DOES_NOT_EXIST: No run", "RESOURCE_DOES_NOT_EXIST: No run"),
    ],
)
def test_an_error_comes_down_to_its_cause(words, short):
    assert reason(words) == short


def test_what_is_not_known_is_cut_at_a_word():
    short = reason("none " * 100)
    assert len(short) <= 200
    assert short.endswith("none none ...")


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_who_asks_is_not_down(status):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"You are not authenticated.")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever).start()
        uri = f"http://ann:s3cret@127.0.0.1:{server.server_port}"
        try:
            client = connect(uri)
            with (
                pytest.raises(
                    TrackingError, match=rf"refuses who asks \(HTTP {status}\)"
                ) as refused,
                reported(uri),
            ):
                client.get_experiment_by_name("s")
        finally:
            server.shutdown()
    assert "MLFLOW_TRACKING_USERNAME" in str(refused.value) and "ann" not in str(refused.value)
