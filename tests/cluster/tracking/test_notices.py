"""Notices to a web server of the standard library, and to a command: once each, secrets masked."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cluster import submit, sweep_status
from cluster.tracking.notices import NotToldError, happened, send, tell
from scaling.base import Store
from scaling.cli import main
from sweeps.policy import Policy
from tests.cluster.status import conftest
from tests.cluster.status.states import START, running

place = conftest.place
SECRET = "T0KEN-in-the-path"
DONE = {"event": "end", "status": "done"}


@pytest.fixture
def hook():
    """``hook.got``: what arrived at ``hook.url``; it answers with ``hook.code``."""

    class Hook(BaseHTTPRequestHandler):
        got, code = [], 200

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(Hook.code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Hook.url = f"http://127.0.0.1:{server.server_port}/{SECRET}?key=k"
        yield Hook
        server.shutdown()


def status_of(place, notify, **states):
    place.sweep(*states)
    for run_id, (events, state) in states.items():
        place(run_id, events, **state)
    place.queue([(run_id,) for run_id in states], policy={"notify": notify})
    return sweep_status("s")


@pytest.mark.usefixtures("store_ready")
def test_a_sweep_that_is_done_is_told_once(make_sweep, home, hook):
    sweep = replace(make_sweep(), policy=Policy(notify=hook.url))
    submit(sweep, on="inline")
    submit(sweep, on="inline")
    ((path, kind, said),) = hook.got
    assert path.startswith(f"/{SECRET}") and kind == "application/json"
    assert (said["event"], said["sweep"], said["counts"]) == ("done", "tiny", {"done": 1})
    assert said["text"].startswith("done: tiny: 1 done of 1")


def test_failures_are_told_by_cause_and_once(place, home, hook):
    oom = {"event": "end", "status": "failed", "reason": "MemoryError", "cause": "oom"}
    disk = {**oom, "reason": "No space left", "cause": "disk"}
    status = status_of(
        place,
        hook.url,
        a=([START, oom], {"state": "failed", "time": 1.0}),
        b=([START, disk], {"state": "failed", "time": 1.0}),
        c=([START], running(state="stopped")),
    )
    for _ in range(2):
        tell(Store.at(home), status)
    told = sorted((said["event"], said["cause"]) for _, _, said in hook.got)
    assert told == [("failed", "disk"), ("failed", "oom"), ("stalled", "")]
    assert {f["cause"] for f in hook.got[0][2]["failures"]} == {"oom", "disk"}


def test_whoever_is_killed_while_telling_tells_nobody_twice(place, home, hook, monkeypatch):
    status = status_of(place, hook.url, a=([START, DONE], {"state": "done", "time": 1.0}))
    monkeypatch.setattr("cluster.tracking.notices.send", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        tell(Store.at(home), status)
    monkeypatch.undo()
    monkeypatch.setenv("SCALING_HOME", str(home))
    tell(Store.at(home), status)
    assert hook.got == []


class Killed(BaseException):
    pass


def test_a_server_that_is_away_is_told_later_and_its_address_is_masked(place, home, hook, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"
    status = status_of(place, away, a=([START, DONE], {"state": "done", "time": 1.0}))
    tell(Store.at(home), status)
    why = "notice 'done': 127.0.0.1 cannot be reached (ConnectionRefusedError)"
    assert sweep_status("s").undelivered == (why,)
    for words in (["status", "s"], ["status", "s", "--json"], ["usage"]):
        assert main(words) == 0
    output = capsys.readouterr()
    assert why in output.out and SECRET not in output.out + output.err
    tell(Store.at(home), replace(status, policy=Policy(notify=hook.url)))
    assert len(hook.got) == 1 and not sweep_status("s").undelivered


def test_an_answer_of_500_is_not_told_again(place, home, hook):
    hook.code = 500
    status = status_of(place, hook.url, a=([START, DONE], {"state": "done", "time": 1.0}))
    for _ in range(2):
        tell(Store.at(home), status)
    assert len(hook.got) == 1
    assert sweep_status("s").undelivered == ("notice 'done': 127.0.0.1 answers 500",)


def test_a_command_has_the_summary_as_its_input(place, home, tmp_path):
    notify = f"cat >> {tmp_path}/told"
    status = status_of(place, notify, a=([START, DONE], {"state": "done", "time": 1.0}))
    for _ in range(2):
        tell(Store.at(home), status)
    assert json.loads((tmp_path / "told").read_text())["event"] == "done"
    with pytest.raises(NotToldError, match="its command ended with 3"):
        send("exit 3", {})


def test_an_address_from_the_environment(place, home, hook, monkeypatch, make_sweep):
    monkeypatch.setenv("HOOK", hook.url)
    send("$HOOK", {"event": "done"})
    assert len(hook.got) == 1
    with pytest.raises(ValueError, match="the environment has no web address of that name"):
        submit(replace(make_sweep(), policy=Policy(notify="$NO_HOOK")), on="inline")
    with pytest.raises(ValueError, match="notify has no host: write it as https://HOST/PATH"):
        submit(replace(make_sweep(), policy=Policy(notify="https:///secret")), on="inline")
    with pytest.raises(ValueError, match="stop_early 'medain': did you mean 'median'"):
        submit(replace(make_sweep(), policy=Policy(stop_early="medain")), on="inline")


def test_what_is_cancelled_or_goes_on_is_no_news(place):
    status = status_of(place, "true", a=([START], running()), b=([], {}))
    assert not happened(replace(status, is_live=True))
    assert not happened(replace(status, is_stopped=True))
    assert [key.split()[0] for key in happened(status)] == ["stalled"]
