"""Windows of the stream: at an offset of their own, or in order with the state carried over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.data import DataInfo, open_data
from scaling.data.batches import TokenData, lane_starts
from scaling.data.batches.partition import offset_starts, skipped
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.loop import train
from scaling.training.task import make_task
from tests.scaling.test_spec import BASE, INFO
from tests.scaling.training.test_loop import bits, stop_after

CUT = {"num_tokens": 103, "context": 10, "seed": 3}


def test_each_pass_skips_and_then_shuffles_what_is_left():
    at = 0
    for epoch in range(6):
        skip = skipped(103, 10, 3, epoch)
        size = (103 - 1 - skip) // 10
        starts = [offset_starts(at + i, batch_size=1, **CUT)[0] for i in range(size)]
        assert sorted(starts) == [skip + 10 * i for i in range(size)]
        at += size
    skips = {skipped(103, 10, 3, epoch) for epoch in range(200)}
    assert skips == set(range(10))


def test_batches_do_not_depend_on_their_size():
    one = np.concatenate([offset_starts(i, batch_size=1, **CUT) for i in range(28)])
    seven = np.concatenate([offset_starts(i, batch_size=7, **CUT) for i in range(4)])
    assert (one == seven).all()


def test_rows_go_along_their_lanes():
    data = TokenData(
        DataInfo("made up", "", "token", 103, 0, vocab_size=256), np.arange(103, dtype=np.uint8), []
    )
    windows = [data.batch(s, context=10, batch_size=3, seed=3, windows="carried") for s in range(6)]
    for step in (1, 2, 4, 5):  # 9 windows in 3 lanes: a lane begins anew every third step
        assert (windows[step][:, 0] == windows[step - 1][:, -1]).all()
    fresh = [lane_starts(s, batch_size=3, **CUT)[1] for s in range(6)]
    assert fresh == [True, False, False, True, False, False]


RECURRENT = {"family": "recurrent", "width": 8, "depth": None, "windows": "carried"}


def carried(tiny, **options):
    given = {**tiny, **RECURRENT, **options}
    return RunSpec.resolve(**{k: v for k, v in given.items() if v is not None})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru", "dropout": 0.2},
        {"cell": "mut1", "num_tokens": 2048},
        {"family": "transformer", "width": None, "depth": 1, "windows": "offset"},
    ],
    ids=str,
)
def test_stopping_and_resuming_gives_the_same_bits(tiny, tmp_path, options):
    spec = carried(tiny, **options)
    train(spec, tmp_path / "whole")
    for calls in (3, 5, 1):
        assert train(spec, tmp_path / "parts", should_stop=stop_after(calls)).status == "stopped"
    train(spec, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


def test_the_loss_is_that_of_a_model_that_reads_on(tiny):
    spec = carried(tiny)
    task = make_task(spec, None, torch.device("cpu"))
    torch.manual_seed(0)
    model = get_family("recurrent").build(spec.model)
    data = open_data(spec.data.data)
    both = [
        data.batch(s, context=spec.model.context, batch_size=4, seed=0, windows="carried")
        for s in (0, 1)
    ]
    whole = torch.from_numpy(np.concatenate([both[0][:, :-1], both[1]], axis=1))
    logits = model(whole[:, :-1])[:, spec.model.context :]
    target = whole[:, 1 + spec.model.context :]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    task.loss(model, 0, slice(0, 3))  # in parts, as micro-batches do
    task.loss(model, 0, slice(3, 4))
    loss = task.loss(model, 1)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    loss.backward()  # no further back than the window: the graph of the one before is gone
    assert model.embedding.weight.grad is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"windows": "carried"}, "windows: carried is for models with a state"),
        ({"windows": "lanes"}, "unknown windows 'lanes'"),
        (
            {"windows": "carried", "family": "recurrent", "batch_size": 1 << 20},
            "lanes .batch_size. of windows of",
        ),
    ],
)
def test_bad_windows_are_refused(options, words):
    base = {k: v for k, v in BASE.items() if k != "depth" or "family" not in options}
    with pytest.raises(ValueError, match=words):
        RunSpec.resolve(info=INFO, **{**base, **options, "num_tokens": 1e9})


def test_fixed_windows_are_no_part_of_identity():
    assert RunSpec.resolve(info=INFO, **BASE, windows="fixed").run_id == (
        RunSpec.resolve(info=INFO, **BASE).run_id
    )
    assert RunSpec.resolve(info=INFO, **BASE, windows="offset").run_id != (
        RunSpec.resolve(info=INFO, **BASE).run_id
    )
