"""Checkpoints beside the steps: nothing waits for them, and a kill at any moment costs no bit."""

from __future__ import annotations

import errno
import os
import signal
import threading
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from scaling.families import get_family
from scaling.run import checkpoint
from scaling.run.journal import checkpoints, end, read_journal
from scaling.spec import RunSpec
from scaling.trainers import train_together
from scaling.training.loop import train
from scaling.training.optim import make_optimizer
from scaling.training.saving import Saver
from scaling.training.spread import Layout, Spread
from scaling.training.team import Team, connect
from tests.scaling.processes import exit_status, import_for_teams, in_child, run_team
from tests.scaling.training.test_loop import bits, stop_after

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
write = checkpoint.save


@pytest.fixture
def spec(tiny):
    return RunSpec.resolve(**{**tiny, "depth": 2, "batch_size": 5, "num_tokens": 5 * 32 * 24})


def test_steps_are_made_while_a_checkpoint_is_written(spec, tmp_path, monkeypatch):
    """Its writer waits for ten further steps, whose results are no part of it."""
    train(spec, tmp_path / "whole")
    ten_more, count, written = threading.Event(), stop_after(13), []

    def patient(path, state):
        assert ten_more.wait(60), "training waits for the file"
        written.append(state["step"])
        write(path, state)

    def stop():
        if count():
            ten_more.set()
        return bool(written) and ten_more.is_set()

    monkeypatch.setattr(checkpoint.save_latest, "__kwdefaults__", {"write": patient})
    outcome = train(spec, tmp_path / "run", checkpoint_seconds=0, should_stop=stop)
    assert outcome.status == "stopped"
    assert written[0] < 10 < written[-1]
    previous = checkpoint.load(checkpoints(tmp_path / "run")[1])
    assert previous["step"] == written[-2]
    checkpoints(tmp_path / "run")[0].write_bytes(b"damaged")
    assert train(spec, tmp_path / "run").status == "done"
    assert bits(tmp_path / "run") == bits(tmp_path / "whole")
    assert checkpoints(tmp_path / "run") == []


def test_steps_are_made_while_a_trunk_is_written(tiny, tmp_path, monkeypatch):
    """Its writer waits for the end of the cooldown, whose weights are no part of it."""
    options = {**tiny, "schedule": "wsd", "cooldown_fraction": 0.5}
    short, long = (RunSpec.resolve(**{**options, "num_tokens": n * 128}) for n in (16, 24))
    cooled, count = threading.Event(), stop_after(16)

    def patient(path, state):
        assert cooled.wait(60), "training waits for the file"
        write(path, state)

    def stop():
        if count():
            cooled.set()
        return False

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", patient)
        train(short, tmp_path / "short", trunk_dir=tmp_path / "trunk", should_stop=stop)
    assert [path.name for path in (tmp_path / "trunk").iterdir()] == ["000000000008.pt"]
    train(long, tmp_path / "long", trunk_dir=tmp_path / "trunk")
    train(long, tmp_path / "alone")
    (start, *_) = read_journal(tmp_path / "long")
    assert start["step"] == 8 * 128
    assert bits(tmp_path / "long") == bits(tmp_path / "alone")


def test_a_trunk_that_could_not_be_written_is_said(tmp_path, capsys):
    """By a run that ends before the disk has answered; runs on the trunk do without."""

    def full(path, state):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record = SimpleNamespace(save_trunk=full)
    saver = Saver(record, tmp_path, Team(), sharded=False)
    saver.begin_trunk(tmp_path / "trunk.pt", {"step": 8})
    saver.close()
    assert "No space left" in capsys.readouterr().err


def test_a_disk_that_is_full_fails_the_run_with_its_words(spec, tmp_path, monkeypatch):
    def full(path, state):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.save_latest, "__kwdefaults__", {"write": full})
    with pytest.raises(OSError, match="No space left"):
        train(spec, tmp_path, checkpoint_seconds=0)
    assert end(read_journal(tmp_path))["status"] == "failed"


def written_by(folder, size, spec, state):
    """A checkpoint's state after as many processes took it over and wrote it, each its part."""

    def member():
        with connect(folder / "meet") as team:
            layout, device = Layout(shard="fsdp"), torch.device("cpu")
            build = partial(get_family(spec.family).build, spec.model)
            spread = Spread(build, spec, team, device, layout)
            optimizer = make_optimizer(spec, spread.model)
            spread.load(state, optimizer)
            record = SimpleNamespace(
                journal=SimpleNamespace(epoch=3),
                save=lambda state: checkpoint.save_latest(folder, state, 3),
            )
            saver = Saver(record if team.leads else None, folder, team, sharded=True)
            saver.begin({**state, **spread.references(optimizer)})
            saver.finish()
            saver.close()

    import_for_teams()
    job = {"SLURM_NTASKS": str(size), "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
    of_rank = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(size)]
    team = [in_child(member, {**job, **own}) for own in of_rank]
    assert [exit_status(process) for process in team] == [0] * size
    assert len(list(folder.glob("part.000003.*.pt"))) == size
    found = checkpoint.load_latest(folder)
    assert found is not None
    return found[1]


def assert_equal(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, its in zip(one, other, strict=True):
            assert_equal(mine, its)
    else:
        assert one == other


def test_parts_of_any_number_of_processes_are_the_whole_to_the_bit(spec, tmp_path):
    assert train(spec, tmp_path / "one", should_stop=stop_after(6)).status == "stopped"
    state = checkpoint.load(checkpoints(tmp_path / "one")[0])
    for size in (2, 3):
        folder = tmp_path / str(size)
        (folder / "meet").mkdir(parents=True)
        state, before = written_by(folder, size, spec, state), state
        assert_equal(state, before)


@pytest.mark.parametrize("victim", ["part.000000.000000000012.1-of-2.pt", "checkpoint.pt"])
def test_a_team_that_is_killed_while_it_writes_loses_no_bit(spec, tmp_path, monkeypatch, victim):
    """Rank 1 in the middle of its part, or rank 0 when all parts are there, but not their names."""
    together = partial(train_together, spec=spec, shard="fsdp")
    assert run_team(tmp_path / "meet", 2, partial(together, run_dir=tmp_path / "whole")) == [0, 0]
    run = tmp_path / "run"
    lead = partial(together, run_dir=run, should_stop=stop_after(6))
    assert run_team(tmp_path / "meet", 2, lead) == [0, 0]
    assert sorted(path.name for path in run.glob("part.*")) == [
        f"part.000000.000000000006.{rank}-of-2.pt" for rank in (0, 1)
    ]

    def killed(path, state):
        if path.name == victim and (state.get("step") == 12 or "tensors" in state):
            path.with_name(f".{path.name}.{os.getpid()}").write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, state)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", killed)
        patched.setattr(checkpoint.save_latest, "__kwdefaults__", {"write": killed})
        lead = partial(together, run_dir=run, should_stop=stop_after(6))
        assert -signal.SIGKILL in run_team(tmp_path / "meet", 2, lead)
    found = checkpoint.load_latest(run)
    assert found is not None
    assert found[1]["step"] == 6
    assert run_team(tmp_path / "meet", 2, partial(together, run_dir=run)) == [0, 0]
    assert bits(run) == bits(tmp_path / "whole")
    assert not list(run.glob("*.pt"))


def test_a_checkpoint_without_one_of_its_parts_does_not_count(tmp_path):
    parts = [checkpoint.part_file(tmp_path, 0, 4, rank, 2) for rank in range(2)]
    for rank, part in enumerate(parts):
        checkpoint.save(part, {"tensors": {("w", 0): torch.full((rank + 1, 2), float(rank))}})
    named = {"files": [part.name for part in parts], "axes": {("w", 0): 0}}
    checkpoint.save_latest(tmp_path, {"w": [None], checkpoint.PARTS: named})
    found = checkpoint.load_latest(tmp_path)
    assert found is not None
    assert found[1]["w"][0].tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    parts[1].unlink()
    assert checkpoint.load_latest(tmp_path) is None


def test_parts_that_no_checkpoint_names_are_removed(tmp_path):
    for epoch, step in ((0, 1), (0, 2), (1, 3), (1, 4), (1, 5)):
        part = checkpoint.part_file(tmp_path, epoch, step, 0, 1)
        checkpoint.save(part, {"tensors": {}})
        named = {"files": [part.name], "axes": {}}
        checkpoint.save_latest(tmp_path, {"step": step, checkpoint.PARTS: named}, epoch)
        assert all(checkpoint.load(path)["step"] for path in checkpoints(tmp_path))
    assert sorted(int(path.name.split(".")[2]) for path in tmp_path.glob("part.*")) == [4, 5]
    checkpoint.remove(tmp_path)
    assert list(tmp_path.glob("*.pt")) == []
