"""``scaling watch``: the page of a sweep while its journals grow."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from pathlib import Path

import pytest

from scaling.base import Store
from scaling.cli import main, watch
from scaling.run.journal import Journal
from tests.analysis.conftest import planted_home, planted_loss, planted_runs
from tests.browser import CHROMIUM, Browser

__all__ = ["planted_home", "planted_runs"]
EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def store(home, planted_home) -> Store:
    shutil.copytree(planted_home, home, dirs_exist_ok=True)
    return Store.at(home)


@pytest.fixture
def watched(store, monkeypatch):
    monkeypatch.setattr(watch, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(watch, "SHARE", 0.1)
    one = watch.Watched(store, "demo")
    one.look()
    return one


@pytest.fixture
def port(watched):
    server = watch.serve(watched, 0)
    over = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}),
        threading.Thread(target=watched.follow, args=(over,)),
    ]
    for thread in threads:
        thread.start()
    yield server.server_port
    over.set()
    server.shutdown()
    for thread in threads:
        thread.join()
    server.server_close()


def ask(port, path="/now", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_what_has_not_ended_is_expected_from_what_has(watched, planted_runs):
    now = json.loads(watched.now)
    assert now["law"].startswith("L = ") and "27 runs" in now["law"]
    assert set(now["figures"]["pictures"]) == {"curves", "scaling", "frontier"}
    rows = {row["id"]: [cell[0] for cell in row["cells"]] for row in now["rows"]}
    assert len(rows) == len(planted_runs)
    planned = planted_runs.iloc[-1]
    words = rows[planned["run_id"]]
    assert words[0] == "planned"
    middle, low, high = (
        float(w) for w in words[6].replace("(", "").replace(")", "").replace("to ", "").split()
    )
    assert low < planted_loss(planned["num_params"], planned["num_tokens"]) < high
    assert middle == pytest.approx(planned["loss"], rel=0.02)


def test_it_answers_this_machine_and_knows_two_paths(port):
    answer, page = ask(port, "/")
    assert answer.status == 200 and b"connect-src 'self'" in page
    assert answer.headers["X-Frame-Options"] == "DENY"
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        answer, body = ask(port, host=host)
        assert (answer.status, body) == (403, b"unknown host\n")
    assert ask(port, host=f"localhost:{port}")[0].status == 200
    for path in ("/../../etc/passwd", "/now/..", "/sweeps/demo/sweep.jsonl", "/?a"):
        assert ask(port, path)[0].status == 404


def test_what_cannot_be_watched_is_one_line(store, port, capsys):
    assert main(["watch", "nothing", "--port", "0"]) == 2
    assert main(["watch", "demo", "--port", "70000"]) == 2
    assert main(["watch", "demo", "--port", str(port)]) == 2
    first, second, third = capsys.readouterr().err.strip().splitlines()
    assert "nothing" in first and "70000" in second and "0 takes any free one" in third


def test_law_and_forecast_are_made_anew_only_when_a_run_has_ended(watched, monkeypatch):
    law = watched.known
    watched.look()
    assert watched.known is law


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_axe_finds_no_barrier(port, tmp_path):
    pytest.importorskip("axe_core_python")
    browser = Browser(tmp_path / "chromium")
    try:
        for width, dark in ((1100, False), (390, True)):
            browser.open(f"http://127.0.0.1:{port}/", width=width, dark=dark)
            browser.wait("document.querySelectorAll('canvas').length === 3")
            assert browser.barriers() == []
    finally:
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_follows_the_journals(port, store, planted_runs, tmp_path):
    run = planted_runs.iloc[-1]
    browser = Browser(tmp_path / "chromium")
    try:
        browser.open(f"http://127.0.0.1:{port}/")
        row = f"document.querySelector('tr[data-run=\"{run['run_id']}\"]')"
        browser.wait(f"{row} && {row}.cells[0].textContent === 'planned'")
        browser.wait("document.querySelectorAll('canvas').length === 3")
        right = "getBoundingClientRect().right"
        inside = f"c => c.{right} < c.closest('figure').{right}"
        browser.wait(f"[...document.querySelectorAll('canvas')].every({inside})", 5)
        canvas = "document.querySelector('[data-picture=curves] canvas').toDataURL()"
        before = browser.js(canvas)
        journal = Journal(store.run_dir(run["run_id"]))
        journal.append("start", attempt=1, time=1.8e9)
        journal.append("point", step=10**6, loss=4.5, lr=0.01, seconds=1.0)
        journal.append("point", step=2 * 10**6, loss=3.9, lr=0.01, seconds=2.0)
        browser.wait(f"{canvas} !== {json.dumps(before)}")
        journal.append("end", status="done", loss=float(run["loss"]), loss_se=1e-3, seconds=2.0)
        journal.close()
        browser.wait(f"{row}.cells[0].textContent === 'done'")
        browser.wait("document.getElementById('law').textContent.includes('28 runs')")
        browser.js(f"{row}.click()")
        assert browser.js(f"{row}.classList.contains('marked')")
        journal = Journal(store.run_dir(planted_runs.iloc[-2]["run_id"]))
        journal.append("end", status="diverged", loss=float("nan"), reason=EVIL)
        journal.close()
        other = row.replace(run["run_id"], planted_runs.iloc[-2]["run_id"])
        browser.wait(f"{other}.cells[0].textContent === 'diverged'")
        assert browser.js(f"{row}.classList.contains('marked')")  # what was marked stays marked
        assert browser.js("document.title") == "demo"
        assert browser.js("document.querySelectorAll('img').length") == 0
        assert browser.problems == []
    finally:
        browser.close()
    assert not list(Path(store.root).glob("mlflow*"))
