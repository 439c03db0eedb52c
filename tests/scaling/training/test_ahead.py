"""Batches made ahead are the same bits, end with the run, and fail where they are asked for."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pytest
import torch

import scaling.training.task
from scaling.data import open_data
from scaling.data.batches.examples import ExampleData
from scaling.run.journal import end, points, read_journal
from scaling.spec import RunSpec
from scaling.training.ahead import Ahead
from scaling.training.loader import Loader
from scaling.training.loop import train
from tests.scaling.data.test_resume import AUGMENTED, TINY

CPU = torch.device("cpu")
WHOLE = slice(None)


def workers() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("batches")}


def bits(run_dir):
    events = read_journal(run_dir)
    kept = ("step", "loss", "train_loss", "error")
    return [[p[k] for k in kept] for p in points(events)], end(events)["loss"]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("changes", [{}, AUGMENTED])
def test_batches_made_ahead_are_the_same_bits(threads, changes):
    spec = RunSpec.resolve(**TINY, **changes)
    data = open_data("digits")
    alone, ahead = (Loader(data, spec.train, 5, (1, 8, 8), CPU, n) for n in (0, threads))
    # Every step, a step again, one further on, one before, rows of one: whatever comes.
    asked = [(step, WHOLE) for step in range(spec.num_steps)]
    asked += [(3, WHOLE), (9, slice(4, 8)), (9, slice(8, 16)), (2, WHOLE), (23, WHOLE)]
    try:
        for step, rows in asked:
            one, other = alone.batch(step, rows), ahead.batch(step, rows)
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.labels, other.labels)
    finally:
        ahead.close()
    assert not workers()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_is_the_same_with_and_without_and_after_stops(tmp_path, monkeypatch, threads):
    spec = RunSpec.resolve(**TINY, **{**AUGMENTED, "colour_jitter": 0.0})
    for ahead in (0, 2):
        monkeypatch.setattr(
            scaling.training.task, "batch_threads", lambda device, changed, n=ahead: n
        )
        folder, calls = tmp_path / f"{ahead}", itertools.count(1)
        stopped = train(spec, folder, should_stop=lambda k=calls: next(k) == 11, threads=threads)
        assert stopped.status == "stopped"
        assert not workers()
        train(spec, folder, threads=threads)
        assert not workers()
    monkeypatch.undo()
    train(spec, tmp_path / "whole", threads=threads)
    assert bits(tmp_path / "0") == bits(tmp_path / "2") == bits(tmp_path / "whole")
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)


def test_an_error_in_a_thread_is_the_runs_own(tmp_path, monkeypatch):
    spec = RunSpec.resolve(**TINY)
    read = ExampleData.batch

    def damaged(self, step, **options):
        if step == 7:
            raise ValueError("train_inputs.npy is damaged: prepare the data again")
        return read(self, step, **options)

    monkeypatch.setattr(ExampleData, "batch", damaged)
    with pytest.raises(ValueError, match=r"train_inputs.npy is damaged"):
        train(spec, tmp_path)
    last = end(read_journal(tmp_path))
    assert (last["status"], last["reason"]) == (
        "failed",
        "ValueError: train_inputs.npy is damaged: prepare the data again",
    )
    assert not workers()


def test_an_interrupt_leaves_no_thread(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RunSpec.resolve(**TINY), tmp_path, should_stop=interrupt)
    assert not workers()


def test_a_step_does_not_wait_for_what_is_made_while_it_runs():
    def make(step, rows):
        time.sleep(0.01)
        return step

    ahead = Ahead(make, 30, threads=2)
    began, waited = time.perf_counter(), 0.0
    for step in range(30):
        asked = time.perf_counter()
        assert ahead.get(step, WHOLE) == step
        waited += time.perf_counter() - asked
        time.sleep(0.01)
    ahead.close()
    # Only the first batch is waited for; made in the step itself they would take half of the time.
    assert waited < 0.35 * (time.perf_counter() - began)


def test_nothing_is_made_beyond_the_last_step_nor_after_the_end():
    made = []
    ahead = Ahead(lambda step, rows: made.append(step), 4, threads=2)
    for step in range(4):
        ahead.get(step, WHOLE)
    ahead.close()
    assert sorted(made) == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="shutdown"):
        ahead.get(1, WHOLE)


def test_rows_may_be_numbers():
    data = open_data("digits")
    inputs, labels = data.batch(0, batch_size=10, seed=0, rows=np.array([3, 1]))
    every, all_labels = data.batch(0, batch_size=10, seed=0)
    np.testing.assert_array_equal(inputs, every[[3, 1]])
    np.testing.assert_array_equal(labels, all_labels[[3, 1]])


def test_what_makes_batches_is_let_go_at_the_end_without_a_collection():
    class Task:
        def __init__(self, threads):
            self.ahead = Ahead(self.made, 3, threads)

        def made(self, step, rows):
            return step

    for threads in (0, 1):
        task = Task(threads)
        gone = weakref.ref(task)
        assert task.ahead.get(0, slice(0, 1)) == 0
        gc.disable()
        try:
            task.ahead.close()
            del task
            assert gone() is None
        finally:
            gc.enable()
