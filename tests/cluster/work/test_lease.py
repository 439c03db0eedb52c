"""Leases: one holder at a time, taken over only from the dead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from cluster.work import lease as leases
from cluster.work.lease import STALE_SECONDS, claim, is_silent
from cluster.work.process import ProcessId
from scaling.base.errors import WorkerLostError


def run_python(code, *args):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True
    )


DIE_WITH_A_LEASE = """
import os, sys
from pathlib import Path
from cluster.work.lease import claim
assert claim(Path(sys.argv[1]), "work")
os._exit(9)
"""

COUNT_UNDER_A_LEASE = """
import sys, time
from pathlib import Path
from cluster.work.lease import claim
folder, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    while (lease := claim(folder)) is None:
        time.sleep(0.001)
    with lease:
        value = int(counter.read_text())
        time.sleep(0.002)
        counter.write_text(str(value + 1))
"""


def test_a_held_folder_cannot_be_claimed_until_it_is_released(tmp_path):
    first = claim(tmp_path)
    assert claim(tmp_path) is None
    first.release()
    with claim(tmp_path) as second:
        assert second.epoch == first.epoch + 1


def test_a_holder_is_silent_from_two_missed_beats_until_its_lease_is_over(tmp_path):
    assert not is_silent(tmp_path / "never-held")
    lease = claim(tmp_path)
    ages = {0: False, 15: False, 30: True, STALE_SECONDS - 5: True, 200: False}
    for age, silent in ages.items():
        beaten = time.time() - age
        os.utime(lease.path, (beaten, beaten))
        assert is_silent(tmp_path) == silent, age
    lease.release()
    beaten = time.time() - 30
    os.utime(lease.path, (beaten, beaten))
    assert not is_silent(tmp_path)


def test_no_two_processes_hold_a_lease_at_once(tmp_path):
    """A counter that is read, waited over and written loses counts if two ever overlap."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    folder = tmp_path / "leased"
    workers = [run_python(COUNT_UNDER_A_LEASE, folder, counter, 25) for _ in range(4)]
    assert [worker.wait(300) for worker in workers] == [0] * 4
    for worker in workers:
        worker.stdout.close()
    assert counter.read_text() == "100"
    assert len(list(folder.glob("lease-*"))) == 1


def test_the_dead_are_taken_over_and_counted_by_purpose(tmp_path):
    for deaths in range(3):
        worker = run_python(DIE_WITH_A_LEASE, tmp_path)
        assert worker.wait(300) == 9
        worker.stdout.close()
        record = json.loads(next(tmp_path.glob("lease-*")).read_text())
        assert record["after_death"] == deaths
    with claim(tmp_path, "work") as lease:
        assert lease.after_death == 3
    with claim(tmp_path, "work") as lease:
        assert lease.after_death == 0  # the one before released it


def test_a_holder_that_lost_its_team_counts_as_dead(tmp_path):
    """It lives on and releases, but what it did must not be tried for ever."""
    for deaths in (0, 1):
        with pytest.raises(WorkerLostError), claim(tmp_path, "work") as lease:
            assert lease.after_death == deaths
            raise WorkerLostError("rank 1 is gone")
    with pytest.raises(OSError, match="full"), claim(tmp_path, "work") as lease:
        assert lease.after_death == 2
        raise OSError("disk full")
    with claim(tmp_path, "work") as lease:
        assert lease.after_death == 0


def test_another_purpose_does_not_inherit_the_deaths(tmp_path):
    worker = run_python(DIE_WITH_A_LEASE, tmp_path)
    worker.wait(300)
    worker.stdout.close()
    with claim(tmp_path, "other work") as lease:
        assert lease.after_death == 0


@pytest.mark.parametrize(("silence", "held"), [(0, True), (STALE_SECONDS + 5, False)])
def test_a_holder_elsewhere_is_judged_by_its_heartbeat(tmp_path, silence, held):
    path = tmp_path / "lease-000007.json"
    path.write_text(json.dumps({**ProcessId.of().to_dict(), "host": "elsewhere", "purpose": ""}))
    os.utime(path, (time.time() - silence,) * 2)
    lease = claim(tmp_path)
    assert (lease is None) == held
    if lease:
        assert lease.epoch == 8
        lease.release()


def test_a_pid_that_another_process_has_now_is_not_the_holder(tmp_path):
    record = {**ProcessId.of().to_dict(), "started": "1", "purpose": ""}
    (tmp_path / "lease-000001.json").write_text(json.dumps(record))
    with claim(tmp_path) as lease:
        assert lease.epoch == 2


def test_a_claimant_that_looked_long_ago_does_not_win(tmp_path, monkeypatch):
    """It saw epoch 1 dead; meanwhile 2 came and went and 3 holds."""
    dead = {**ProcessId.of().to_dict(), "started": "1", "purpose": ""}
    (tmp_path / "lease-000001.json").write_text(json.dumps(dead))
    claim(tmp_path).release()
    holder = claim(tmp_path)
    assert holder.epoch == 3
    (tmp_path / "lease-000001.json").write_text(json.dumps(dead))
    monkeypatch.setattr(leases, "_newest", lambda folder: 1)
    assert claim(tmp_path) is None
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.glob("lease-00000[23]*")) == ["lease-000003.json"]
    holder.release()


def test_a_holder_notices_that_it_was_passed_by(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    lease = claim(tmp_path)
    before = lease.path.stat().st_mtime_ns
    (tmp_path / f"lease-{lease.epoch + 1:06d}.json").write_text("{}")
    for _ in range(200):
        if lease.lost:
            break
        time.sleep(0.02)
    assert lease.lost
    assert lease.path.stat().st_mtime_ns > before
    lease.release()
    assert (tmp_path / f"lease-{lease.epoch + 1:06d}.json").read_text() == "{}"


def test_a_folder_that_was_made_again_is_no_longer_held(tmp_path, monkeypatch):
    """Its epochs begin anew, so the next holder has the same: what the file holds tells."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.0)
    folder = tmp_path / "run"
    first = claim(folder)
    first._ended.set()  # its heartbeat sleeps
    first._thread.join()
    shutil.rmtree(folder)
    second = claim(folder)
    assert second.epoch == first.epoch
    assert not first.held()
    first.release()
    assert second.held()
    assert json.loads(second.path.read_text())["pid"] == os.getpid()
    second.release()
