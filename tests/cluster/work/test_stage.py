"""Data on the node's own disk: read there, shared, and removed, after a kill too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.launch.arrays import CLEAN_UP
from cluster.work import stage
from cluster.work.stage import clean_up, scratch, staged
from scaling.base import Store
from sweeps.resources import Resources

HOLD = """
import sys, time
from cluster.work.stage import staged
from scaling.base import Store
with staged(Store.at(sys.argv[1]), [{"data": {"data": "set"}}]) as folder:
    print(folder, flush=True)
    time.sleep(600)
"""
SPECS = [{"data": {"data": "set", "fingerprint": "x"}, "seed": 0}]


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch, home):
    monkeypatch.setenv("SCALING_SCRATCH", str(tmp_path / "disk"))
    for name in ("set", "another"):
        (home / "data" / name).mkdir(parents=True)
        (home / "data" / name / "shard.npy").write_bytes(b"12345")


def copies():
    return sorted(str(path.relative_to(scratch())) for path in scratch().rglob("shard.npy"))


def test_what_runs_name_is_read_from_the_copy_which_goes_with_its_last_user(home, monkeypatch):
    store = Store.at(home)
    monkeypatch.delenv("SCALING_DATA", raising=False)
    with staged(store, SPECS) as folder:
        assert store.data_dir == folder != home / "data"
        assert (folder / "set" / "shard.npy").read_bytes() == b"12345"
        assert len(copies()) == 1  # not of another
        del os.environ["SCALING_DATA"]  # as another process has it
        with staged(store, SPECS) as same:
            assert same == folder
        assert len(copies()) == 1
    assert copies() == [] and store.data_dir == home / "data"


def test_who_comes_after_a_kill_cleans_up(home):
    command = [sys.executable, "-c", HOLD, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        folder = killed.stdout.readline().strip()
        clean_up()
        there = copies()  # it lives
        killed.send_signal(signal.SIGKILL)
    assert folder.startswith(str(scratch())) and len(there) == 1
    assert len(copies()) == 1
    subprocess.run([sys.executable, "-c", CLEAN_UP], check=True)
    assert copies() == []


def test_a_set_that_changed_is_copied_anew(home):
    with staged(Store.at(home), SPECS) as old:
        (home / "data" / "set" / "shard.npy").write_bytes(b"123456")
        os.environ.pop("SCALING_DATA")
        with staged(Store.at(home), SPECS) as new:
            assert new != old and (new / "set" / "shard.npy").read_bytes() == b"123456"
        os.environ["SCALING_DATA"] = str(old)
    os.environ.pop("SCALING_DATA", None)


def test_what_does_not_fit_is_read_where_it_is(home, monkeypatch, capsys):
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: usage._replace(free=3))
    with staged(Store.at(home), SPECS) as folder:
        assert folder == home / "data"
    assert "do not fit into" in capsys.readouterr().err and copies() == []


def test_a_sweep_trains_on_the_copy(make_sweep, home, store_ready, monkeypatch):
    seen = []
    real = stage._copy
    monkeypatch.setattr(stage, "_copy", lambda *told: seen.append(real(*told)))
    sweep = replace(make_sweep(), resources={"stage": "local"})
    submit(sweep, on="inline")
    assert sweep_status("tiny").counts == {"done": 1}
    assert len(seen) == 1 and not any(scratch().glob("*/"))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="stage 'node'"):
        Resources(stage="node")
