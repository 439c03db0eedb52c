"""Blocks that are computed again, compiled blocks, and passes that fit the memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from scaling.families import get_family
from scaling.run.journal import end, points, read_journal
from scaling.spec import RunSpec
from scaling.training import replay
from scaling.training.blocks import blocks_of, can_recompute, recompute
from scaling.training.fitting import Fit, Footprint, fit_in, footprint, largest, saved_bytes
from scaling.training.loop import train
from scaling.training.spread import Layout, Spread
from scaling.training.task import NextToken, make_task
from scaling.training.team import Team

CPU = torch.device("cpu")


@pytest.fixture
def spec(tiny):
    return RunSpec.resolve(**{**tiny, "depth": 2, "batch_size": 6, "num_tokens": 6 * 32 * 12})


def gradients(spec, again):
    torch.manual_seed(3)
    model = get_family(spec.family).build(spec.model)
    if again:
        recompute(blocks_of(model))
    task = make_task(spec, None, CPU)
    torch.manual_seed(4)
    task.loss(model, 0).backward()
    return [p.grad for p in model.parameters()]


def test_blocks_that_are_computed_again_give_the_same_bits(spec):
    """Dropout too: what was drawn is drawn again."""
    spec = replace(spec, model=replace(spec.model, dropout=0.3))
    plain, again = (gradients(spec, again) for again in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


def test_batch_norm_is_not_computed_again():
    normed = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model = nn.ModuleDict({"body": nn.Sequential(nn.Linear(3, 3), nn.GELU(), normed)})
    assert [can_recompute(block) for block in blocks_of(model)] == [True, False]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_footprint_is_what_a_pass_saves(spec, precision):
    spec = replace(spec, train=replace(spec.train, precision=precision))
    found = footprint(spec)
    model = get_family(spec.family).build(spec.model)
    for rows in (1, 3, 6):
        assert saved_bytes(model, spec, rows) == found.bytes(rows)
    recompute(blocks_of(model)[:1])
    # Of the block that is computed again its own tensors are counted once more, and the weights'
    # copies in bfloat16 that it no longer keeps.
    saved = saved_bytes(model, spec, 6)
    assert 0 <= found.bytes(6, 1) - 6 * found.per_block - saved <= found.fixed


def test_a_footprint_of_images():
    spec = RunSpec.resolve(data="teacher", family="mlp", batch_size=8, num_tokens=80, lr=1e-3)
    model = get_family(spec.family).build(spec.model)
    assert saved_bytes(model, spec, 8) == footprint(spec).bytes(8)


GIB = 1 << 30


def test_the_largest_pass_that_fits():
    found = Footprint(fixed=GIB, per_row=GIB, per_block=GIB, blocks=8)
    assert largest(found, most=4, enough=8, room=100 * GIB) == Fit(4)
    assert largest(found, most=32, enough=4, room=40 * GIB) == Fit(4)
    assert largest(found, most=32, enough=2, room=28 * GIB) == Fit(2)  # 3 would leave a rest
    # 1 + 4 x (1 + 8 - k + 1) is 33 with two blocks computed again.
    assert largest(found, most=32, enough=4, room=33 * GIB) == Fit(4, 2)
    assert largest(found, most=32, enough=4, room=4 * GIB) == Fit(1, 8)
    assert largest(found, most=7, enough=3, room=32 * GIB) == Fit(3)  # 7 is prime


def test_what_surely_fits_is_not_counted(spec, monkeypatch):
    monkeypatch.setattr("scaling.training.fitting.footprint", None)
    assert fit_in(spec, 6, 80 * GIB) == Fit(6)


def test_too_little_memory_after_all_halves_the_pass(spec, tmp_path, monkeypatch):
    train(spec, tmp_path / "whole")
    real = make_task(spec, None, CPU)

    class Small:
        """A device that has memory for two rows."""

        def __getattr__(self, name):
            return getattr(real, name)

        def loss(self, model, step, rows=slice(0, 6)):
            if rows.stop - rows.start > 2:
                (model(torch.zeros(1, 4, dtype=torch.long)).sum()).backward()
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real.loss(model, step, rows)

    model = partial(get_family(spec.family).build, spec.model)
    torch.manual_seed(spec.seed)
    spread = Spread(model, spec, Team(), CPU, Layout())
    loss = spread.backward(Small(), 0)
    assert (spread.fit.rows, spread.parts) == (2, 3)
    torch.manual_seed(spec.seed)
    plain = Spread(model, spec, Team(), CPU, Layout())
    assert loss == pytest.approx(plain.backward(real, 0), rel=1e-6)
    for one, other in zip(spread.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_a_replayed_step_is_the_step(spec, monkeypatch):
    """As on a GPU, but that what is recorded there is computed each time."""
    monkeypatch.setattr(replay, "Recorded", lambda compute, inputs: compute)
    for name in ("get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(NextToken, "_is_fused", lambda self, model: True)
    found = []
    for replayed in (False, True):
        monkeypatch.setattr(Spread, "_can_replay", lambda *_, replayed=replayed: replayed)
        torch.manual_seed(spec.seed)
        build = partial(get_family(spec.family).build, spec.model)
        spread = Spread(build, spec, Team(), CPU, Layout())
        assert spread.told().get("replayed", False) is replayed
        loss = spread.backward(make_task(spec, None, CPU), 0)
        found.append([loss, *(p.grad for p in spread.model.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def same_run(one, other, rel):
    curves = [[p["loss"] for p in points(read_journal(folder))] for folder in (one, other)]
    assert curves[0] == pytest.approx(curves[1], rel=rel)
    assert end(read_journal(one))["loss"] == pytest.approx(
        end(read_journal(other))["loss"], rel=rel
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of a block's input: the compiler's own
@pytest.mark.parametrize("how", ["always", "blocks"])
def test_a_compiled_run_with_its_loss_in_chunks_is_the_run(spec, tmp_path, monkeypatch, how):
    """As on a GPU, but computed by torch's own kernels, not those that its compiler writes.

    Protects the one way through the loop that no other test on a CPU takes.
    """
    traced = []

    def backend(graph, inputs):
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    train(spec, tmp_path / "plain")
    monkeypatch.setattr(NextToken, "_is_fused", lambda self, model: True)
    train(spec, tmp_path / "compiled", compile=how)
    same_run(tmp_path / "compiled", tmp_path / "plain", 1e-5)
    assert len(traced) == 1 < spec.model.depth  # no evaluation, of other shapes; equal blocks once
    (start,) = (e for e in read_journal(tmp_path / "compiled") if e["event"] == "start")
    assert start["compiled"] is True


def test_a_pass_has_no_more_rows_than_keep_a_gpu_busy(spec):
    long = replace(spec, train=replace(spec.train, batch_size=6000))
    found = fit_in(long, 6000, 1000 * GIB)
    assert found == Fit(2000)  # of 32 tokens: 64,000, in three equal passes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler has its own
def test_a_worker_compiles_its_ninth_shape_as_its_first(spec, monkeypatch):
    """torch compiles one function for eight shapes, and then runs it as it is.

    Protects the speed of a sweep's later runs, of which no result would tell.
    """
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))

    class Layer(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))

        def forward(self, x):
            return self.weight * x

    for width in range(2, 11):
        model = partial(Layer, width)
        spread = Spread(model, spec, Team(), CPU, Layout(compile="always"))
        spread.forward(torch.zeros(width))
    assert len(compiled) == 9
