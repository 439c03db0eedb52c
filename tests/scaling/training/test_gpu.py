"""What only a CUDA device can show, beside the CPU or torch's plain way."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from scaling.families import get_family, loss_module
from scaling.run.checkpoint import load
from scaling.run.journal import checkpoints, end, points, read_journal
from scaling.run.monitor import Monitor
from scaling.spec import RunSpec
from scaling.training import fitting
from scaling.training.blocks import blocks_of, recompute
from scaling.training.ensemble import Entry, train_ensemble
from scaling.training.loop import train
from scaling.training.task import NextToken, make_task
from tests.scaling.training.test_loop import stop_after

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's compiler has its own
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
]
CUDA = torch.device("cuda")


@pytest.fixture
def spec(tiny):
    options = {"depth": 2, "width": 64, "batch_size": 16, "num_tokens": 16 * 32 * 40}
    return RunSpec.resolve(**{**tiny, **options})


def in_bfloat16(spec):
    return replace(spec, train=replace(spec.train, precision="bfloat16"))


def curve(run_dir):
    return [p["loss"] for p in points(read_journal(run_dir))]


def start(run_dir):
    return next(e for e in read_journal(run_dir) if e["event"] == "start")


def seed_spread(spec, folder):
    """How far the final losses of two more seeds lie from each other."""
    finals = []
    for seed in (11, 12):
        train(replace(spec, seed=seed), folder / f"seed-{seed}", device="cpu")
        finals.append(end(read_journal(folder / f"seed-{seed}"))["loss"])
    return abs(finals[0] - finals[1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_is_that_of_the_cpu_within_what_a_seed_changes(spec, tmp_path, precision):
    train(spec, tmp_path / "cpu", device="cpu")
    asked = in_bfloat16(spec) if precision == "bfloat16" else spec
    train(asked, tmp_path / "cuda", device="cuda")
    assert start(tmp_path / "cuda")["arithmetic"] == {"float32": "tf32"}.get(precision, precision)
    assert curve(tmp_path / "cuda")[0] == pytest.approx(curve(tmp_path / "cpu")[0], rel=5e-3)
    one, other = (end(read_journal(tmp_path / name))["loss"] for name in ("cpu", "cuda"))
    assert abs(one - other) < max(0.01 * one, 2 * seed_spread(spec, tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"family": "recurrent", "windows": "carried"},
        {"family": "recurrent", "cell": "gru", "optimizer": "lion", "lr": 0.002},
        {"family": "mamba2", "head_dim": 16, "state": 16, "optimizer": "muon"},
        {"optimizer": "muon"},
        {"optimizer": "muon", "precision": "bfloat16"},
        {"optimizer": "ademamix"},
        pytest.param(
            {"optimizer": "schedulefree", "schedule": "constant"},
            marks=pytest.mark.skipif(not find_spec("schedulefree"), reason="an extra"),
        ),
        {"experts": 4, "experts_per_token": 2},
        {"experts": 4, "experts_per_token": 2, "precision": "bfloat16"},
    ],
    ids=str,
)
def test_other_families_and_optimisers_are_those_of_the_cpu(tiny, tmp_path, options):
    spec = RunSpec.resolve(**{**tiny, "width": 32, **options})
    # Beside the same in float32: the CPU need not know bfloat16.
    plain = replace(spec, train=replace(spec.train, precision="float32"))
    train(plain, tmp_path / "cpu", device="cpu")
    train(spec, tmp_path / "cuda", device="cuda")
    one, other = (end(read_journal(tmp_path / name))["loss"] for name in ("cpu", "cuda"))
    assert abs(one - other) < max(0.01 * one, 2 * seed_spread(spec, tmp_path))


@pytest.mark.parametrize("how", ["always", "blocks"])
def test_a_compiled_run_is_the_run(spec, tmp_path, how):
    spec = in_bfloat16(spec)
    train(spec, tmp_path / "plain", device="cuda", compile="never")
    train(spec, tmp_path / "compiled", device="cuda", compile=how)
    assert start(tmp_path / "compiled")["compiled"] is True
    assert curve(tmp_path / "compiled") == pytest.approx(curve(tmp_path / "plain"), rel=1e-2)


def test_a_replayed_run_is_the_run(spec, tmp_path):
    """Dropout too: each replay draws anew."""
    spec = replace(in_bfloat16(spec), model=replace(spec.model, dropout=0.1))
    train(spec, tmp_path / "plain", device="cuda", compile="never")
    train(spec, tmp_path / "replayed", device="cuda")
    assert start(tmp_path / "replayed")["replayed"] is True
    assert "replayed" not in start(tmp_path / "plain")
    assert curve(tmp_path / "replayed") == pytest.approx(curve(tmp_path / "plain"), rel=2e-2)
    parts = tmp_path / "parts"
    assert train(spec, parts, device="cuda", should_stop=stop_after(17)).status == "stopped"
    assert train(spec, parts, device="cuda").status == "done"
    assert curve(parts) == pytest.approx(curve(tmp_path / "replayed"), rel=1e-4)


def test_an_ensemble_is_its_runs_alone(spec, tmp_path):
    """Within TF32's rounding; one member ends earlier, and a computation of two goes on."""
    runs = [replace(spec, seed=seed) for seed in range(3)]
    less = replace(spec.train, num_tokens=spec.train.num_tokens // 2)
    runs[1] = replace(runs[1], train=less)
    for i, run in enumerate(runs):
        train(run, tmp_path / f"alone-{i}", device="cuda", compile="never")
    train_ensemble([Entry(run, tmp_path / f"all-{i}") for i, run in enumerate(runs)], device="cuda")
    for i in range(3):
        assert curve(tmp_path / f"all-{i}") == pytest.approx(
            curve(tmp_path / f"alone-{i}"), rel=5e-3
        )


@pytest.mark.parametrize(
    "options",
    [
        {"data": "teacher", "family": "mlp"},
        {"data": "digits", "family": "vit", "resolution": 8, "depth": 2, "width": 32},
        {"data": "digits", "family": "convnext", "resolution": 8, "depths": [1], "widths": [16]},
    ],
    ids=str,
)
def test_a_compiled_network_for_images_is_the_run(tmp_path, options):
    spec = RunSpec.resolve(**options, batch_size=32, num_tokens=960, lr=1e-3)
    train(spec, tmp_path / "plain", device="cuda", compile="never")
    train(spec, tmp_path / "compiled", device="cuda", compile="always")
    assert curve(tmp_path / "compiled") == pytest.approx(curve(tmp_path / "plain"), rel=1e-2)


def test_a_run_goes_on_where_it_was_stopped(spec, tmp_path):
    train(spec, tmp_path / "whole", device="cuda")
    parts = tmp_path / "parts"
    assert train(spec, parts, device="cuda", should_stop=stop_after(17)).status == "stopped"
    assert train(spec, parts, device="cuda").status == "done"
    assert curve(parts) == pytest.approx(curve(tmp_path / "whole"), rel=1e-4)


def test_checkpoints_written_beside_the_steps_are_those_of_their_step(spec, tmp_path):
    """Each a copy of its moment, whatever the GPU does meanwhile."""
    train(spec, tmp_path / "whole", device="cuda")
    parts, stop = tmp_path / "parts", stop_after(17)
    train(spec, parts, device="cuda", should_stop=stop, checkpoint_seconds=0)
    latest, previous = checkpoints(parts)
    assert load(previous)["step"] < load(latest)["step"] == 17
    latest.write_bytes(b"damaged")
    assert train(spec, parts, device="cuda").status == "done"
    assert curve(parts) == pytest.approx(curve(tmp_path / "whole"), rel=1e-4)


def test_a_step_does_not_wait_for_the_device(spec):
    """torch raises wherever the host would wait: batch, loss, backward, clipping, optimiser."""
    from scaling.training.meter import Watch
    from scaling.training.optim import make_optimizer

    spec = in_bfloat16(spec)
    model = get_family(spec.family).build(spec.model).to(CUDA)
    optimizer, task, watch = make_optimizer(spec, model), make_task(spec, None, CUDA), Watch(CUDA)

    def step(number):
        loss = task.loss(model, number)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert watch.see(number + 1, loss.detach()) is None

    step(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not see all that waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(1, 15):  # the look at step 16 waits for that at step 1, long done
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        task.close()


def peak_of(model, tokens, *targets):
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.autocast("cuda", torch.bfloat16):
        out = model(tokens, *targets)
        loss = (
            out
            if targets
            else torch.nn.functional.cross_entropy(out.float().flatten(0, 1), tokens.flatten())
        )
    loss.backward()
    return torch.cuda.max_memory_allocated() - before


def test_the_loss_in_chunks_takes_less_memory(monkeypatch):
    monkeypatch.setattr("scaling.families.loss_module.CHUNK_BYTES", 64 << 20)
    family = get_family("transformer")
    options = {"depth": 1, "width": 64, "vocab_size": 50304, "context": 1024, "tied": True}
    model = family.build(family.resolve(options)).to(CUDA)
    tokens = torch.zeros(8, 1024, dtype=torch.long, device=CUDA)
    peak_of(model, tokens)
    plain, chunked = peak_of(model, tokens), peak_of(model, tokens, tokens)
    assert plain > 8 * 1024 * 50304 * 4
    assert chunked < plain / 4


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("classes", "smoothing"), [(50304, 0.0), (5003, 0.1), (10, 0.0)])
def test_the_kernel_of_the_loss_gives_what_torch_gives_in_float64(classes, smoothing, kind):
    logits = (5 * torch.randn(64, classes, device=CUDA)).to(kind)
    targets = torch.randint(classes, (64,), device=CUDA)
    exact = logits.double().requires_grad_()
    theirs = torch.nn.functional.cross_entropy(
        exact, targets, reduction="none", label_smoothing=smoothing
    )
    (slope,) = torch.autograd.grad(theirs.sum(), exact)
    assert loss_module.kernel is not None
    ours = loss_module.losses_and_slopes_(logits, targets, smoothing)
    torch.testing.assert_close(ours.double(), theirs.detach(), rtol=1e-5, atol=1e-5)
    rounding = 1e-5 if kind == torch.float32 else 4e-3
    assert (logits.double() - slope).norm() < rounding * slope.norm()


def test_the_footprint_is_about_what_a_pass_takes(spec):
    options = {"depth": 6, "width": 512, "vocab_size": 256, "context": 512}
    model = get_family("transformer").resolve(options)
    spec = in_bfloat16(replace(spec, model=model))
    found, built = fitting.footprint(spec), get_family("transformer").build(model).to(CUDA)
    tokens = torch.zeros(16, 512, dtype=torch.long, device=CUDA)
    peak_of(built, tokens, tokens)
    assert found.bytes(16) == pytest.approx(peak_of(built, tokens, tokens), rel=0.35)
    recompute(blocks_of(built))
    assert found.bytes(16, 6) == pytest.approx(peak_of(built, tokens, tokens), rel=0.5)


def test_a_batch_that_does_not_fit_is_split(spec, tmp_path, monkeypatch):
    """As though nearly all of the card's memory were taken."""
    rows = fitting.footprint(spec).bytes(5)
    monkeypatch.setattr(fitting, "CHUNK_BYTES", 0)
    monkeypatch.setattr(fitting, "ENOUGH_TOKENS", 32)
    room = fitting.training_memory(spec.cost, 0) + rows / fitting.ROOM
    with monkeypatch.context() as small:
        small.setattr(torch.cuda, "mem_get_info", lambda device: (int(room), int(room)))
        train(spec, tmp_path / "split", device="cuda")
    assert 1 <= start(tmp_path / "split")["micro_batch"] <= 5
    train(spec, tmp_path / "whole", device="cuda")
    assert "micro_batch" not in start(tmp_path / "whole")
    assert curve(tmp_path / "split") == pytest.approx(curve(tmp_path / "whole"), rel=1e-3)


def test_utilisation_is_in_the_journal(spec, tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.training.meter.peak_flops", lambda *_: 1e13)
    train(spec, tmp_path, device="cuda")
    found = [p.get("mfu") for p in points(read_journal(tmp_path))]
    assert all(0 < mfu < 1 for mfu in found[-3:])
    assert 0 < end(read_journal(tmp_path))["mfu"] < 1


def test_samples_of_the_card_are_what_the_driver_says():
    """Memory beside torch's own question to the driver; a card at work takes power."""
    monitor, held = Monitor(), torch.empty(1 << 30, dtype=torch.uint8, device=CUDA)
    square = torch.randn(4096, 4096, device=CUDA)
    for _ in range(20):
        for _ in range(20):
            square @ square
        torch.cuda.synchronize()
        monitor.look()
    found = monitor.sample()
    free, total = torch.cuda.mem_get_info()
    used = found["system/gpu_0_memory_usage_megabytes"]
    assert monitor.missing == ""
    assert used > held.nbytes / 1e6
    assert used == pytest.approx((total - free) / 1e6, rel=0.1, abs=1000)
    assert 0 < found["system/gpu_0_utilization_percentage"] <= 100
    assert 50 < found["system/gpu_0_power_usage_watts"] < 1500
    assert 0 < found["system/gpu_0_power_usage_percentage"] < 120


def test_batches_made_ahead_are_the_batches(spec):
    one, other = (make_task(spec, None, torch.device(name)) for name in ("cpu", "cuda"))
    assert isinstance(other, NextToken)
    for step in (0, 1, 5, 39):
        mine, theirs = (task._ahead.get(step, slice(2, 9)) for task in (one, other))
        assert torch.equal(mine, theirs.cpu())
    other.close()
