"""A root that was moved, or copied while the old one stays: its store's files are in it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from scaling.tracking import connect, follow_store, log_report, prepare
from scaling.tracking.moved import artifacts_of


@pytest.mark.parametrize("stays", [False, True])
def test_a_reports_files_are_where_the_root_is_now(empty_store, tmp_path, stays):
    home = tmp_path / "home"
    home.mkdir()
    store_ready = f"sqlite:///{shutil.copy(empty_store, home / 'mlflow.db')}"
    html = tmp_path / "report.html"
    html.write_text("<p>first</p>")
    prepare(store_ready, "s")
    theirs = connect(store_ready).create_experiment("theirs", f"file://{tmp_path}/artifacts/x")
    run_id = log_report(store_ready, "s", html, {"frontier": Figure()})
    now = tmp_path / "räume 2"
    (shutil.copytree if stays else shutil.move)(home, now)
    uri = f"sqlite:///{now / 'mlflow.db'}"
    _artifact_repos_cache.clear()  # another process has none
    html.write_text("<p>second</p>")
    assert log_report(uri, "s", html, {}) == run_id  # MLflow's own client reads it, from there
    client = connect(uri)
    fetched = client.download_artifacts(run_id, "report.html", str(tmp_path))
    assert Path(fetched).read_text() == "<p>second</p>"
    assert fetched.startswith(str(tmp_path)) and {
        a.path for a in client.list_artifacts(run_id)
    } == {
        "report.html",
        "figures",
    }
    old = home / "artifacts" / "s" / run_id / "artifacts" / "report.html"
    assert old.exists() == stays and (not stays or old.read_text() == "<p>first</p>")
    assert client.get_experiment(theirs).artifact_location.endswith("/artifacts/x")
    assert follow_store(now / "mlflow.db") == 0


def test_addresses_of_experiments_that_others_made_stay(store_ready, home, tmp_path):
    elsewhere = f"file://{tmp_path}/data/s"
    client = connect(store_ready)
    client.create_experiment("s", elsewhere)
    prepare(store_ready, "s")  # tags it
    assert follow_store(home / "mlflow.db") == 0
    with sqlite3.connect(home / "mlflow.db") as connection:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = 's'")
        assert found.fetchall() == [(elsewhere,)]
    connection.close()
    assert artifacts_of(home / "mlflow.db", "a b") == (home / "artifacts" / "a b").as_uri()


def test_what_is_no_store_is_left_to_whoever_asks_it(tmp_path):
    for text in ("", "this is a poem, " * 100):
        (tmp_path / "m.db").write_text(text)
        assert follow_store(tmp_path / "m.db") == 0
        assert (tmp_path / "m.db").read_text() == text
