"""One run, one winner: a worker that was taken for dead wakes up and changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.work import lease as leases
from cluster.work.lease import claim
from scaling.base import read_json
from scaling.run import checkpoint
from scaling.run.journal import (
    STATE,
    Journal,
    SupersededError,
    begin_anew,
    checkpoints,
    end,
    last_epoch,
    points,
    read_journal,
)
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.processes import exit_status, in_child
from tests.scaling.training.test_loop import bits


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def wait_until(condition):
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_stopped_worker_is_replaced_and_changes_nothing_when_it_wakes_up(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(leases, "STALE_SECONDS", 4.0)  # no machine is so slow
    spec = RunSpec.resolve(**{**tiny, "num_tokens": 128 * 300, "dropout": 0.1})
    train(spec, tmp_path / "whole")
    run_dir, said = tmp_path / "run", tmp_path / "said"

    def work():
        with claim(run_dir) as lease:
            outcome = train(
                spec,
                run_dir,
                epoch=lease.epoch,
                held=lease.held,
                checkpoint_seconds=0.05,
                should_stop=lambda: time.sleep(0.02) or False,
            )
            said.write_text(outcome.status)

    zombie = in_child(work)
    wait_until(lambda: checkpoints(run_dir))
    os.kill(zombie, signal.SIGSTOP)
    stopped = time.monotonic()
    assert claim(run_dir) is None
    wait_until(lambda: (taken := claim(run_dir)) and not taken.release())
    assert time.monotonic() - stopped > 3.0
    lease = claim(run_dir)
    with lease:
        outcome = train(spec, run_dir, epoch=lease.epoch, held=lease.held)
    assert outcome.status == "done"
    before = content(run_dir)
    os.kill(zombie, signal.SIGCONT)
    assert exit_status(zombie) == 0
    assert said.read_text() == "stopped"
    assert content(run_dir) == before
    assert bits(run_dir) == bits(tmp_path / "whole")
    assert last_epoch(run_dir) == lease.epoch == 3
    assert read_json(run_dir / STATE)["state"] == "done"
    assert checkpoints(run_dir) == []


class Writer:
    """A worker that never notices that it was replaced: it asked just before it fell asleep."""

    def __init__(self, run_dir, epoch):
        self.run_dir, self.epoch, self.journal, self.step = run_dir, epoch, None, 0

    def act(self, action):
        if self.journal is None:
            try:
                self.journal = Journal(self.run_dir, self.epoch)
            except SupersededError:
                return False
        who = float(self.epoch)
        if action == "start":
            self.journal.append("start", attempt=self.epoch)
        elif action == "point":
            self.step += 1
            self.journal.append("point", step=self.step, loss=who)
        elif action == "end":
            with contextlib.suppress(SupersededError):  # it stands there and does not count
                self.journal.append("end", status="done", loss=who)
        elif action == "save":
            checkpoint.save_latest(self.run_dir, {"who": self.epoch}, self.epoch)
        return True


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["start", "point", "save", "end"])),
        max_size=14,
    )
)
def test_whatever_the_order_the_newest_holder_wins(tmp_path_factory, actions):
    run_dir = tmp_path_factory.mktemp("run")
    writers = {epoch: Writer(run_dir, epoch) for epoch in (1, 2, 3)}
    newest, expected, saved = 0, [], 0
    for epoch, action in actions:
        if not writers[epoch].act(action):
            continue
        if action == "save":
            saved = max(saved, epoch)
        elif epoch >= newest:
            newest = epoch
            if action == "end":
                expected.append(float(epoch))
    events = read_journal(run_dir)
    # Exactly the ends that were written before anybody later had written anything.
    assert [e["loss"] for e in events if e["event"] == "end"] == expected
    assert last_epoch(run_dir) == newest
    mine = [e for e in points(events) if e["loss"] == float(newest)]
    assert len(mine) == (writers[newest].step if newest else 0)
    found = checkpoint.load_latest(run_dir)
    assert (found[1]["who"] if found else 0) == saved
    for writer in writers.values():
        if writer.journal:
            writer.journal.close()


def test_a_run_begun_anew_hears_nothing_of_before(tmp_path):
    zombie, late = Writer(tmp_path, 4), Writer(tmp_path, 3)
    zombie.act("start")
    zombie.act("end")
    begin_anew(tmp_path, 5)
    assert read_journal(tmp_path) == []
    with pytest.raises(SupersededError, match="was removed"):
        zombie.act("start")  # into the file that was thrown away
    assert not late.act("start")  # into the new one
    zombie.act("save")
    assert read_journal(tmp_path) == []
    assert checkpoint.load_latest(tmp_path, first=5) is None
    winner = Writer(tmp_path, 6)
    winner.act("end")
    assert end(read_journal(tmp_path))["loss"] == 6.0


def test_a_trained_run_does_not_start_from_a_zombies_checkpoint(tiny, tmp_path):
    """It was begun anew in epoch 5; a checkpoint of epoch 4 came late."""
    spec = RunSpec.resolve(**tiny)
    begin_anew(tmp_path / "run", 5)
    checkpoint.save_latest(tmp_path / "run", {"run_id": spec.run_id, "step": 60}, 4)
    train(spec, tmp_path / "run", epoch=6)
    train(spec, tmp_path / "alone")
    assert bits(tmp_path / "run") == bits(tmp_path / "alone")


def test_points_of_a_predecessor_that_computed_otherwise_are_replaced(tmp_path):
    """Another GPU gives other bits: the curve is of the one that wrote the result."""
    for epoch, losses in ((1, [3.0, 2.0, 1.5]), (2, [3.0, 2.5, 1.75])):
        journal = Journal(tmp_path, epoch)
        for step, loss in enumerate(losses):
            journal.append("point", step=step, loss=loss)
        journal.close()
    events = read_journal(tmp_path)
    assert [p["loss"] for p in points(events)] == [3.0, 2.5, 1.75]
    assert len(events) == 5


def test_a_worker_that_lost_its_lease_writes_nothing(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    asked = iter(range(10**9))
    outcome = train(spec, tmp_path, epoch=1, held=lambda: next(asked) < 30, checkpoint_seconds=0)
    assert outcome.status == "stopped"
    before = content(tmp_path)
    assert train(spec, tmp_path, epoch=1, held=lambda: False).status == "stopped"
    assert content(tmp_path) == before
    assert end(read_journal(tmp_path)) is None


def test_an_end_that_was_written_over_is_written_again(tmp_path, monkeypatch):
    """Two machines that append at one moment may write into one place of a network file."""
    journal, write = Journal(tmp_path, 2), os.write
    journal.append("start", attempt=1)

    def lose(file, data):
        monkeypatch.setattr(os, "write", write)
        return write(file, b"x" * len(data))

    monkeypatch.setattr(os, "write", lose)
    journal.append("end", status="done", loss=1.0)
    assert end(read_journal(tmp_path))["loss"] == 1.0


def test_a_line_behind_a_torn_one_is_written_again(tmp_path):
    """A zombie was killed in the middle of its line, just before the holder's next one."""
    journal = Journal(tmp_path, 2)
    journal.append("start", attempt=1)
    with (tmp_path / "metrics.jsonl").open("ab") as zombie:
        zombie.write(b'{"event": "poi')
    journal.append("point", step=1, loss=1.0)
    assert [point["loss"] for point in points(read_journal(tmp_path))] == [1.0]


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_clocks_of_nodes_may_differ(tmp_path, monkeypatch, skew):
    """A heartbeat is judged by the file system's clock, not by this node's."""
    record = {"host": "elsewhere", "space": "", "pid": 1, "started": "1", "purpose": ""}
    path = tmp_path / "lease-000001.json"
    path.write_text(json.dumps(record))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    leases._OFFSETS.clear()
    assert claim(tmp_path) is None
    silent = now() - leases.STALE_SECONDS - 5
    os.utime(path, (silent, silent))
    with claim(tmp_path) as lease:
        assert lease.epoch == 2
    leases._OFFSETS.clear()
    assert not list(tmp_path.glob(".clock*"))


def test_nodes_that_share_a_machine_are_told_apart(tmp_path, monkeypatch):
    """The dead process of another virtual node counts as alive until its lease runs out."""
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    lease = claim(tmp_path)
    lease._ended.set()
    monkeypatch.setenv("SLURMD_NODENAME", "node2")
    monkeypatch.setattr("cluster.work.process._started", lambda pid: "")
    assert claim(tmp_path) is None
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    with claim(tmp_path) as second:
        assert second.epoch == 2


def test_epochs_grow_even_if_somebody_removed_the_leases(tmp_path):
    journal = Journal(tmp_path / "run", 7)
    journal.append("start", attempt=1)
    journal.close()
    with claim(tmp_path / "trunk", after=last_epoch(tmp_path / "run")) as lease:
        assert lease.epoch == 8


def test_a_holder_that_cannot_reach_the_file_system_gives_up(tmp_path, monkeypatch):
    lease = claim(tmp_path)
    assert lease.held()

    def unreachable(*_):
        raise OSError("stale file handle")

    monkeypatch.setattr(leases, "_newest", unreachable)
    lease._seen -= leases.STALE_SECONDS / 2
    assert lease.held()
    lease._seen -= leases.STALE_SECONDS
    assert not lease.held()
    monkeypatch.undo()
    lease.release()
