"""Runs in one file: read there as in their folders, and the same folders again."""

from __future__ import annotations

import json
import sys
import zipfile

import pytest

from analysis import load_runs
from analysis.tables import load_curves
from cluster import submit, sweep_status
from cluster.launch import archive, restore
from cluster.work.lease import claim
from scaling.base import Store
from scaling.cli import main
from tests.cluster.status import conftest
from tests.cluster.status.states import START, running

pytestmark = pytest.mark.usefixtures("store_ready")
place = conftest.place
DONE = {"event": "end", "status": "done", "loss": 2.0}


def content(store, run_ids):
    folders = [store.run_dir(run_id) for run_id in run_ids]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(store.root)): p.read_bytes() for p in sorted(paths)}


def test_tables_status_and_logs_are_the_same_from_an_archive(make_sweep, home, capsys):
    store, sweep = Store.at(home), make_sweep(schedule="cosine", seed=[0, 1])
    submit(sweep, on="inline")
    ids = [entry.run_id for entry in sweep]
    before = content(store, ids)
    tables = load_runs("tiny"), load_curves("tiny"), sweep_status("tiny").to_dict()
    assert main(["logs", "tiny", ids[0]]) == 0
    log = capsys.readouterr().out
    assert main(["archive", "tiny", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (sorted(told["archived"]), told["left"], told["files"]) == (sorted(ids), 0, 6)
    assert not any(store.run_dir(run_id).exists() for run_id in ids)
    with zipfile.ZipFile(told["archive"]) as package:  # what any unpacker sees
        assert len(package.namelist()) == 6
    assert load_runs("tiny").equals(tables[0]) and load_curves("tiny").equals(tables[1])
    assert sweep_status("tiny").to_dict() == tables[2]
    trunks = store.root / "trunks"  # only those with a checkpoint are left
    assert all(any(trunk.glob("*.pt")) for trunk in trunks.glob("*"))
    assert main(["logs", "tiny", ids[0]]) == 0
    assert capsys.readouterr().out == log
    assert submit(sweep, on="inline").submitted == ()
    with pytest.raises(ValueError, match="2 runs to begin anew are in an archive"):
        submit(sweep, on="inline", rerun="all")
    assert main(["remove", "tiny"]) == 2
    assert "`scaling archive tiny --restore` takes them out" in capsys.readouterr().err
    restore(store, "tiny")
    assert content(store, ids) == before
    assert load_runs("tiny").equals(tables[0])
    assert not (home / "archives" / "tiny.zip").exists()


def test_what_is_not_over_or_held_stays(place, home, monkeypatch):
    place.sweep("a", "b", "c", "d")
    place("a", [START, DONE], state="done", time=1.0)
    place("b", [START], **running())
    place("c", [START, DONE], state="done", time=1.0)
    store = Store.at(home)
    room = sys.modules["cluster.launch.archive"]
    monkeypatch.setattr(room, "lease_dir", lambda store, _, run_id: store.run_dir(run_id))
    monkeypatch.setattr(room, "read_any_spec", lambda spec: spec)
    assert archive(store, "s", dry_run=True).runs == ("a", "c")
    with claim(store.run_dir("c")):
        found = archive(store, "s")
    assert (found.runs, found.left) == (("a",), 3)
    assert store.run_dir("c").exists() and not store.run_dir("a").exists()
    assert archive(store, "s").runs == ("c",)
    with zipfile.ZipFile(found.path) as package:
        assert {name.partition("/")[0] for name in package.namelist()} == {"a", "c"}


def test_no_archive_or_a_damaged_one_is_one_line(home, place, capsys):
    place.sweep("a")
    assert main(["archive", "s", "--restore"]) == 2
    assert "sweep 's' has no archive" in capsys.readouterr().err
    (home / "archives").mkdir()
    (home / "archives" / "s.zip").write_text("no")
    assert main(["archive", "s", "--restore"]) == 2
    assert "s.zip is damaged" in capsys.readouterr().err
    assert sweep_status("s").counts == {"planned": 1}
    assert "s.zip cannot be read" in capsys.readouterr().err
