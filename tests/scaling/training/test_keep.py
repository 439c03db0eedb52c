"""Weights that a run keeps: the run's own, whole, and only those of the run's one winner."""

from __future__ import annotations

import errno
import math
import os
import signal
import threading

import pytest
import torch

from scaling.families import get_family
from scaling.run import Keep, checkpoint, kept, lacks_weights
from scaling.run.journal import SupersededError, begin_anew, checkpoints, read_journal
from scaling.run.record import Record
from scaling.run.weights import WEIGHTS, WeightFile, weight_files, write_weights
from scaling.spec import RunSpec
from scaling.trainers import train_together
from scaling.training import loop
from scaling.training.loop import train
from scaling.training.task import make_task
from tests.scaling.processes import exit_status, in_child, run_team
from tests.scaling.training.test_loop import bits, stop_after

FINAL = Keep(("final",))


def content(run_dir):
    """The bytes of what a run kept, by tokens seen."""
    return {weights.step: weights.path.read_bytes() for weights in kept(run_dir)}


def files(folder):
    return {path.name for path in (folder / WEIGHTS).iterdir()}


def test_nothing_is_kept_unless_asked_for(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    train(spec, tmp_path / "without")
    assert not (tmp_path / "without" / WEIGHTS).exists()
    train(spec, tmp_path / "with", keep=FINAL)
    assert bits(tmp_path / "with") == bits(tmp_path / "without")
    lines = [e["event"] for e in read_journal(tmp_path / "with")]
    assert lines[-2:] == ["kept", "end"]


@pytest.mark.parametrize("kind", ["tied", "averaged", "batch norm"])
def test_the_kept_weights_have_the_loss_that_the_run_reports(tiny, tmp_path, kind):
    options = tiny | {"mlp": "swiglu", "tied": True}
    if kind == "averaged":
        options |= {"optimizer": "schedulefree", "schedule": "constant"}
    if kind == "batch norm":  # statistics are kept too
        options = {
            "data": "digits", "family": "resnet", "depths": [1], "widths": [8], "stem": "small",
            "num_tokens": 512, "batch_size": 64, "lr": 0.01, "standardise": True,
        }  # fmt: skip
    spec = RunSpec.resolve(**options)
    outcome = train(spec, tmp_path, keep=FINAL)
    (end,) = kept(tmp_path)
    assert (end.step, end.is_end) == (spec.train.num_tokens, True)
    model = get_family(spec.family).build(spec.model)
    model.load_state_dict(end.load())
    task = make_task(spec, None, torch.device("cpu"))
    with torch.no_grad():
        assert task.evaluate(model.eval(), 0)["loss"] == outcome.loss
    task.close()


def test_a_run_that_stopped_early_keeps_its_end(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny, early_stopping=1)
    steps = iter([3.0, 2.0, 4.0, 5.0])

    class Rising:
        epoch_size = 10**6

        def __init__(self, task):
            self.loss, self.close = task.loss, task.close

        def evaluate(self, *args):
            return {"loss": next(steps), "inference_seconds": 0.0}

    make = loop.make_task
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_task", lambda *args: Rising(make(*args)))
        train(spec, tmp_path, keep=Keep((8, 10_000, "final")))
    assert [(w.step // 128, w.is_end) for w in kept(tmp_path)] == [(8, False), (32, True)]
    assert not lacks_weights(tmp_path, spec, Keep((8, 64)))


def test_all_is_every_half_octave_and_a_number_a_step(tiny):
    spec = RunSpec.resolve(**tiny)
    assert Keep(("all",)).steps(spec) == {16, 23, 32, 45}
    assert Keep((3, 64, 65, "final")).steps(spec) == {3}
    assert FINAL.steps(spec) == set()


def test_what_was_kept_before_a_kill_is_there_and_the_rest_the_same_bits(tiny, tmp_path):
    spec, keep = RunSpec.resolve(**tiny | {"dropout": 0.1}), Keep((5, "all"))
    train(spec, tmp_path / "whole", keep=keep)

    def die():
        stops = stop_after(20)
        train(
            spec,
            tmp_path / "killed",
            keep=keep,
            checkpoint_seconds=0,
            should_stop=lambda: stops() and os.kill(os.getpid(), signal.SIGKILL),
        )

    assert os.waitstatus_to_exitcode(os.waitpid(in_child(die), 0)[1]) == -signal.SIGKILL
    before = content(tmp_path / "killed")
    assert [step // 128 for step in before] == [5, 16]
    train(spec, tmp_path / "killed", keep=keep)
    whole = content(tmp_path / "whole")
    assert content(tmp_path / "killed") == whole
    assert before.items() <= whole.items()
    assert [step // 128 for step in whole] == [5, 16, 23, 32, 45, 64]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_kill_while_weights_are_written_costs_none(tiny, tmp_path, monkeypatch):
    """Steps are made meanwhile, and no checkpoint is of a later step than what is not there."""
    spec, keep = RunSpec.resolve(**tiny | {"dropout": 0.1}), Keep((10, 16))
    train(spec, tmp_path / "whole", keep=keep)
    run, four_more, count = tmp_path / "killed", threading.Event(), stop_after(20)
    write = write_weights

    def killed(path, data):
        if path.name.startswith("000000000016"):
            assert four_more.wait(60), "training waits for the file"
            path.with_name(f".{path.name}.{os.getpid()}").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, data)

    def die():
        stop = lambda: count() and four_more.set()  # noqa: E731
        train(spec, run, keep=keep, checkpoint_seconds=0, should_stop=stop)

    with monkeypatch.context() as patched:
        patched.setattr("scaling.run.record.write_weights", killed)
        patched.setattr(loop, "CHECKPOINT_COST", math.inf)  # as often as can be
        patched.setattr(loop, "WRITING_COST", {})
        assert exit_status(in_child(die)) == -signal.SIGKILL
    assert [step // 128 for step in content(run)] == [10]
    assert 10 <= checkpoint.load(checkpoints(run)[0])["step"] <= 16
    train(spec, run, keep=keep)
    assert content(run) == content(tmp_path / "whole")
    assert bits(run) == bits(tmp_path / "whole")
    assert files(run) == files(tmp_path / "whole")


@pytest.mark.parametrize("step", [40, 64])
def test_weights_that_cannot_be_written_fail_the_run(tiny, tmp_path, monkeypatch, step):
    """The disk is full for those of a step, or of the end, which is not said before."""
    write = write_weights

    def full(path, data):
        if int(path.name.split(".")[0]) == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    spec, keep = RunSpec.resolve(**tiny), Keep((8, 40))
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr("scaling.run.record.write_weights", full)
        train(spec, tmp_path, keep=keep)
    assert [e["status"] for e in read_journal(tmp_path) if e["event"] == "end"] == ["failed"]
    assert train(spec, tmp_path, keep=keep).status == "done"
    assert not lacks_weights(tmp_path, spec, keep)


def test_a_file_that_a_kill_left_unfinished_is_no_weights(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    (tmp_path / WEIGHTS).mkdir()
    torn = tmp_path / WEIGHTS / ".000000000064.000000.safetensors.1"
    torn.write_bytes(b"half")
    assert kept(tmp_path) == []
    train(spec, tmp_path, keep=FINAL)
    (end,) = kept(tmp_path)
    end.path.write_bytes(end.path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"safetensors is damaged \(\d+ bytes\): begin the run"):
        end.load()


def test_a_superseded_worker_keeps_nothing(tiny, tmp_path):
    """It lost its lease; or it fell asleep after it had asked, and writes when it wakes up."""
    spec = RunSpec.resolve(**tiny)
    held = iter([True] * 12)
    outcome = train(spec, tmp_path, epoch=1, keep=Keep((60,)), held=lambda: next(held, False))
    assert outcome.status == "stopped"
    assert kept(tmp_path) == []
    zombie = Record(spec, tmp_path, None, 1, lambda: True)
    train(spec, tmp_path, epoch=2, keep=FINAL)
    won = content(tmp_path)
    zombie.keep(64, {"weight": torch.zeros(3)})()
    assert content(tmp_path) == won
    zombie.journal.held = lambda: False
    with pytest.raises(SupersededError):
        zombie.keep(32, {"weight": torch.zeros(3)})
    zombie.close()
    begin_anew(tmp_path, 3)
    assert kept(tmp_path) == []
    train(spec, tmp_path, epoch=4, keep=FINAL)
    assert content(tmp_path) == won
    assert files(tmp_path) == {"000000000064.000004.safetensors"}  # the rest is swept up


@pytest.fixture
def chain(tiny, tmp_path):
    """Two runs on one trunk; ``chain(spec, name, keep)`` trains one, and its weights' steps."""

    def do(num_steps, name, keep, **options):
        spec = RunSpec.resolve(**tiny | {"num_tokens": num_steps * 128})
        train(spec, tmp_path / name, trunk_dir=tmp_path / "trunk", keep=keep, **options)
        return [weights.step // 128 for weights in kept(tmp_path / name)]

    return do


def test_runs_of_a_trunk_share_the_weights_that_both_passed(chain, tmp_path):
    assert chain(40, "short", Keep((10, 35))) == [10, 35, 40]
    assert chain(80, "long", Keep((10, 50))) == [10, 50, 80]
    (start,) = (e for e in read_journal(tmp_path / "long") if e["event"] == "start")
    assert start["step"] == 32 * 128
    short, long = content(tmp_path / "short"), content(tmp_path / "long")
    assert short[1280] == long[1280]
    assert (tmp_path / "long" / WEIGHTS / "000000000010.000000.safetensors").stat().st_nlink == 3
    # Step 35 is in the cooldown of the short run: the trunk never was there.
    assert [file.step for file in weight_files(tmp_path / "trunk")] == [10, 50]


def test_a_trunk_is_passed_over_where_weights_would_be_missing(chain, tiny, tmp_path):
    chain(40, "short", Keep())
    assert chain(80, "long", Keep((10, "final"))) == [10, 80]
    starts = [e for e in read_journal(tmp_path / "long") if e["event"] == "start"]
    assert [start["step"] for start in starts] == [0]
    train(RunSpec.resolve(**tiny | {"num_tokens": 80 * 128}), tmp_path / "alone", keep=Keep((10,)))
    assert content(tmp_path / "alone") == content(tmp_path / "long")


def test_what_was_passed_before_it_was_asked_for_is_said(tiny, tmp_path, capsys):
    spec = RunSpec.resolve(**tiny)
    train(spec, tmp_path, should_stop=stop_after(30))
    assert checkpoints(tmp_path)
    train(spec, tmp_path, keep=Keep((10, 40)))
    assert "step 10 was passed before its weights were asked for" in capsys.readouterr().err
    assert [weights.step // 128 for weights in kept(tmp_path)] == [40, 64]
    assert lacks_weights(tmp_path, spec, Keep((10,)))
    assert not lacks_weights(tmp_path, spec, Keep((40, "final")))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("shard", ["ddp", "fsdp"])
def test_a_team_keeps_whole_weights(tiny, tmp_path, shard):
    spec, keep = RunSpec.resolve(**tiny | {"num_tokens": 128 * 12}), Keep((7,))
    train(spec, tmp_path / "one", keep=keep)

    def lead(team):
        train_together(team, spec, tmp_path / "team", keep=keep, shard=shard)

    assert run_team(tmp_path / "meet", 2, lead) == [0, 0]
    for one, team in zip(kept(tmp_path / "one"), kept(tmp_path / "team"), strict=True):
        assert one.step == team.step
        torch.testing.assert_close(team.load(), one.load(), rtol=1e-4, atol=1e-5)


def test_weights_are_named_by_step_and_writer(tmp_path):
    path = WeightFile(7, 3).within(tmp_path)
    path.parent.mkdir()
    path.touch()
    assert weight_files(tmp_path) == [WeightFile(7, 3)]
