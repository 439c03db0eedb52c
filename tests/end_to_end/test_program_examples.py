"""The examples of programs: configured in three ways, and by the trainers that people have."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from scaling import train
from scaling.base import Store
from scaling.programs import Means, code_folder, snapshot
from scaling.run import LOG, points, read_journal
from sweeps import load_sweep

EXAMPLES = Path(__file__).parents[2] / "examples" / "programs"


def first_of(name, home):
    """The first run of an example's sweep, its folder, and what it may use."""
    store, folder = Store.at(home), EXAMPLES / name
    spec = load_sweep(folder / "sweep.yaml").entries[0].spec
    snapshot(store, folder, spec.program.code)
    code = code_folder(store, spec.program.code, "")
    return spec, store.run_dir(spec.run_id), Means(code=code, stop_seconds=60)


def test_hydra_tyro_and_toml_drive_one_training_to_one_loss(home):
    losses = {}
    for name in ("hydra", "tyro", "toml"):
        spec, run_dir, means = first_of(name, home)
        outcome = train(spec, run_dir, means=means)
        assert outcome.status == "done", (run_dir / LOG).read_text()
        assert outcome.values["tokens"] == spec.num_tokens == 2000
        assert [p["step"] for p in points(read_journal(run_dir))] == list(range(100, 2001, 100))
        losses[name] = outcome.loss
    assert losses["hydra"] == losses["toml"]
    assert losses["tyro"] == pytest.approx(losses["toml"], abs=1e-6)  # it prints six digits


def stopped_and_resumed(name, home, times):
    """The curve of a run, ``times`` as long, that was stopped at its first report and went on.

    It must not end before it hears of that, on a busy machine either.
    """
    spec, run_dir, means = first_of(name, home)
    spec = spec.with_tokens(times * spec.num_tokens)
    heard = threading.Event()
    outcome = train(spec, run_dir, means=means, should_stop=heard.is_set, heard=heard.set)
    assert outcome.status == "stopped", (run_dir / LOG).read_text()
    reached = points(read_journal(run_dir))[-1]["step"]
    assert 0 < reached < spec.num_tokens
    outcome = train(spec, run_dir, means=means)
    assert outcome.status == "done", (run_dir / LOG).read_text()
    assert outcome.values["tokens"] == spec.num_tokens
    starts = [e for e in read_journal(run_dir) if e["event"] == "start"]
    assert [start["attempt"] for start in starts] == [1, 2] and starts[1]["step"] == reached
    curve = [point for point in points(read_journal(run_dir)) if "loss" in point]
    assert curve[-1]["loss"] < curve[0]["loss"]
    return spec, curve


@pytest.mark.slow  # transformers' own Trainer is stopped, goes on from its checkpoint, is counted
def test_hugging_face_trainer(home):
    spec, curve = stopped_and_resumed("huggingface", home, times=3)
    assert curve[-1]["program/params"] == spec.num_params


@pytest.mark.slow  # Lightning's Trainer is stopped, goes on, and writes its CSV file anew
def test_lightning(home):
    spec, curve = stopped_and_resumed("lightning", home, times=15)
    assert curve[-1]["program/params"] == spec.num_params
