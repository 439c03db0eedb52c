"""Several users and several terminals at one sweep."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import submit
from cluster.work import ProcessId, Queue
from scaling.base import Store


def test_who_submits_what_living_workers_do_already_is_told(home, make_sweep, capsys):
    sweep, store = make_sweep("s"), Store.at(home)
    run_ids = [entry.run_id for entry in sweep]
    queue = Queue.new(store.sweep_dir("s"), [(r,) for r in run_ids], dict.fromkeys(run_ids, 0))
    replace(queue, processes=(ProcessId.of(),), workers=2).write()
    submit(sweep, dry_run=True)
    said = " ".join(capsys.readouterr().err.split())
    assert f"{len(run_ids)} of these runs have workers already (2, of submission " in said
    queue.stop()
    submit(sweep, dry_run=True)
    assert "workers already" not in capsys.readouterr().err


AS_A_USER = """
import os, sys
from pathlib import Path
from cluster.work.lease import claim
from scaling.base import write_atomic
from scaling.run.journal import Journal
os.setgroups([]), os.setgid(54321), os.setuid(int(sys.argv[1])), os.umask(0o002)
run_dir = Path(sys.argv[2]) / "runs" / "a"
with claim(run_dir, "work") as lease:
    journal = Journal(run_dir, lease.epoch, lease.held)
    journal.append("start", attempt=lease.epoch)
    write_atomic(run_dir / "state.json", "{}")
    assert not lease._look(beat=True) and lease.held()
print(lease.epoch, len(list(run_dir.glob("lease-*"))))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_one_user_goes_on_with_anothers_run(tmp_path):
    """Of one group, under umask 002: whatever is written can be written by both."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o2775)
        os.chown(folder, 0, 54321)
        for user, epoch in (("54321", 1), ("54322", 2), ("54321", 3)):
            done = subprocess.run(
                [sys.executable, "-c", AS_A_USER, user, folder],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout.split() == [str(epoch), "1"], done.stderr
        modes = {p.name: p.stat().st_mode for p in Path(folder).rglob("*")}
        assert all(mode & 0o020 for mode in modes.values()), modes


def test_a_folder_that_is_anothers_is_refused_with_what_helps(home, make_sweep, monkeypatch):
    home.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    with pytest.raises(
        ValueError, match=rf"is {home.owner()}'s and you may not write there: .*umask 002"
    ):
        submit(make_sweep("s"), on="inline", dry_run=True)
