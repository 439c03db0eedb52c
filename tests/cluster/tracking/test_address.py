"""Where a sweep is tracked is remembered, and a password is neither shown nor kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cluster import submit
from cluster.tracking import remember, start_shipper
from cluster.tracking.address import address, marks
from scaling.base import Store
from scaling.cli import main
from scaling.tracking import connect, without_password

AWAY = "http://ann:s3cret@127.0.0.1:9"


def test_sync_and_remove_go_where_the_sweep_was_submitted(make_sweep, home, empty_store, capsys):
    uri = f"sqlite:///{shutil.copy(empty_store, home / 'team.db')}"
    submit(make_sweep(), on="inline", tracking_uri=uri)
    client = connect(uri)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment])
    client.delete_run(run.info.run_id)
    assert main(["sync", "tiny", "--restore"]) == 0
    assert "1 runs are complete" in capsys.readouterr().out
    assert len(client.search_runs([experiment])) == 1
    assert main(["remove", "tiny", "--tracking"]) == 0
    assert client.get_experiment_by_name("tiny") is None
    assert not (home / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("noted", "environment", "given", "expected"),
    [
        (None, None, None, "sqlite:///"),
        (AWAY, None, None, "http://ann@127.0.0.1:9"),
        (AWAY, AWAY, None, AWAY),
        (AWAY, "http://other", None, "http://ann@127.0.0.1:9"),
        (AWAY, AWAY, "http://third", "http://third"),
        (None, "http://other", None, "http://other"),
        ("own", "http://other", None, "sqlite:///"),
    ],
)
def test_the_address_is_the_sweeps_own_unless_given(
    home, monkeypatch, noted, environment, given, expected
):
    store = Store.at(home)
    if environment:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    if noted:
        remember(store, "s", store.own_tracking_uri if noted == "own" else noted)
    assert address(store, "s", given).startswith(expected)
    moved = Store(home.rename(home.with_name(f"{home.name}-moved")))
    if expected == "sqlite:///":
        assert address(moved, "s") == f"sqlite:///{moved.root / 'mlflow.db'}"
    moved.root.rename(home)


def test_where_the_environment_names_another_store_it_is_said(
    make_sweep, home, store_ready, empty_store, monkeypatch, capsys
):
    submit(make_sweep(), on="inline")
    capsys.readouterr()
    assert main(["sync", "tiny"]) == 0
    assert "is tracked in" not in capsys.readouterr().err
    team = f"sqlite:///{shutil.copy(empty_store, home / 'team.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team)
    said = f"sweep 'tiny' is tracked in sqlite:///{home / 'mlflow.db'}"
    for words in (["sync", "tiny"], ["retry", "tiny", "--on", "inline"]):
        assert main(words) == 0
        assert capsys.readouterr().err.count(said) == 1, words
    (home / "mlflow.db").rename(home / "away.db")
    assert main(["ui", "tiny"]) == 2  # the store where it was submitted, which is away
    assert said in capsys.readouterr().err
    (home / "away.db").rename(home / "mlflow.db")
    assert connect(team).get_experiment_by_name("tiny") is None
    noted = Store.at(home).sweep_dir("tiny") / "tracking.json"
    before = json.loads(noted.read_text())
    submit(make_sweep(), on="inline")  # nothing is left to do; it is the team's from now on
    assert json.loads(noted.read_text()) == {**before, "uri": team}
    assert connect(team).get_experiment_by_name("tiny") is not None
    assert main(["remove", "tiny", "--tracking"]) == 0
    assert "is tracked in" not in capsys.readouterr().err
    assert connect(team).get_experiment_by_name("tiny") is None


@pytest.mark.parametrize("password", ["", ":", ":s3cret", ":p:@:w"])
@pytest.mark.parametrize("uri", ["postgresql+psycopg2://ann{}@db:5432/x?ssl=on", "http://ann{}@h"])
def test_a_password_is_left_out_of_an_address(uri, password):
    assert without_password(uri.format(password)) == uri.format("")


def test_no_password_is_printed_kept_or_an_argument(make_sweep, home, capfd, monkeypatch):
    submit(make_sweep(), on="inline", tracking_uri=AWAY)
    assert main(["sync", "tiny"]) == 1
    assert main(["sync", "tiny", "--tracking-uri", AWAY]) == 1
    assert main(["ui", "tiny", "--tracking-uri", AWAY]) == 1
    assert main(["runs", "tiny", "--tracking-uri", AWAY]) == 1
    assert main(["import", AWAY, "--experiment", "tiny", "--as", "theirs"]) == 1
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", AWAY)
        main(["doctor"])
        assert main(["fit", "no-such-source"]) == 1
    shown = "".join(capfd.readouterr())
    assert shown.count("the tracking store http://***@127.0.0.1:9 does not answer") >= 5
    with start_shipper(Store.at(home), "tiny", AWAY) as shipper:
        time.sleep(0.5)  # what `ps` shows comes a little after the process
        arguments = Path(f"/proc/{shipper.pid}/cmdline").read_text()
        environment = Path(f"/proc/{shipper.pid}/environ").read_text()
        assert shipper.wait(120) == 1
    assert "cluster.tracking" in arguments.split("\0")
    assert AWAY in environment
    assert "Warning" not in (home / "sweeps" / "tiny" / "shipper.log").read_text()
    kept = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert any(b"http://ann@127.0.0.1:9" in text for text in kept)
    assert "ann@" not in shown
    for text in (shown.encode(), arguments.encode(), *kept):
        assert b"s3cret" not in text


def test_the_commit_of_the_tree_from_which_a_sweep_was_submitted(tmp_path, home, monkeypatch):
    store, tree = Store.at(home), tmp_path / "tree"
    tree.mkdir()
    monkeypatch.chdir(tree)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    def tags():
        store.sweep_dir("s").mkdir(parents=True, exist_ok=True)
        remember(store, "s", store.own_tracking_uri)
        return marks(store, "s")

    def git(*words):
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        said = subprocess.run(["git", *me, *words], check=True, capture_output=True, text=True)
        return said.stdout.strip()

    assert tags() == {}
    git("init", "-q")
    assert tags() == {}
    (tree / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    head = git("rev-parse", "HEAD")
    both = {"scaling.git_commit": head, "mlflow.source.git.commit": head}
    assert tags() == both
    (tree / "a").write_text("2")
    assert tags() == {**both, "scaling.git_commit": f"{head}-dirty"}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tags() == {}  # no git
