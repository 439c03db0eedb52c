"""Memory that is foretold: against a machine with known prices, and against counted bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import RunSpec
from scaling.base import Store
from scaling.cli import main
from sweeps.estimate import calibration, memory, memory_needed
from sweeps.sweep import Sweep

WORKER, STATE, ALL, ONE, JUDGED = 250e6, 24.0, 11.0, 4.0, 1.5  # bytes of a known machine


def spec_of(info, **options):
    base = {"depth": 2, "width": 64, "context": 64, "batch_size": 8, "num_tokens": 1e5, "lr": 0.01}
    return RunSpec.resolve(info=info, **{**base, **options})


def image_spec(**options):
    base = {"family": "resnet", "data": "digits", "resolution": 8, "block": "basic"}
    base |= {"depths": [1], "widths": [8], "num_examples": 640, "batch_size": 64, "lr": 0.01}
    return RunSpec.resolve(**{**base, **options})


def bytes_of(spec, rows=None):
    """What the machine takes for a run of a language model or an MLP."""
    outputs, logits = spec.cost.activations, getattr(spec.model, "vocab_size", 0)
    outputs -= logits
    one = outputs / spec.model.depth
    units = (rows or spec.train.batch_size) * getattr(spec.model, "context", 1)
    chunk = 2048 if logits else 64
    step = (ALL * outputs + ONE * one) * units
    params = spec.cost.num_params
    # A gradient, logits with their log-softmax and gradient; in an evaluation there is none.
    counted = max(4 * params + 12 * logits * units, 8 * logits * chunk)
    return WORKER + STATE * params + counted + step + JUDGED * one * chunk


@pytest.fixture
def machine(home, monkeypatch):
    """A machine with known prices, on which steps were timed; what was weighed."""
    asked = []

    def fake(models):
        asked.append(models)
        shared = 60e6  # pages that a fork shares with the process it came from
        states = [12 * model.cost.num_params for model in models]  # two moments in float32
        peaks = [bytes_of(model) - shared for model in models]
        return memory.Weights(bytes_of(models[0]), states, peaks)

    monkeypatch.setattr(memory, "weigh", fake)
    monkeypatch.setattr(calibration, "measure", lambda spec, **how: (1e-3, 1e-3))
    monkeypatch.setattr(calibration, "device_name", lambda: "cpu")
    return asked


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 1, "width": 32, "batch_size": 1},
        {"depth": 5, "width": 320, "context": 512, "batch_size": 32},
        {"depth": 24, "width": 768, "context": 1024, "batch_size": 8},
        {"family": "mlp", "data": "teacher", "depth": 4, "width": 999, "batch_size": 3000},
    ],
)
def test_a_shape_that_was_not_weighed_has_its_bytes(info, machine, options):
    if "family" in options:
        spec = RunSpec.resolve(**options, num_tokens=1e5, lr=0.01)
    else:
        spec = spec_of(info, **options)
    found = memory.weighed(Store.at(), [spec])
    assert found.bytes(spec) == pytest.approx(bytes_of(spec), rel=0.01)
    assert found.bytes(spec, 2) <= found.bytes(spec)
    assert memory.weighed(Store.at(), [replace(spec, seed=7)]) == found
    assert len(machine) == 1


@given(st.integers(1, 100), st.integers(1, 64), st.floats(0.01, 1.5))
def test_the_most_rows_are_the_most(info, width, batch_size, share):
    found = memory.Memory(WORKER, (STATE, 1.0, ALL, ONE, JUDGED), "")
    spec = spec_of(info, width=8 * width, batch_size=batch_size)
    least, whole = found.bytes(spec, 1), found.bytes(spec)
    room = least + share * (whole - least)
    rows = found.most_rows(spec, room)
    assert rows in range(1, batch_size + 1)
    assert found.bytes(spec, rows) <= room * (1 + 1e-9)
    assert rows == batch_size or found.bytes(spec, rows + 1) > room * (1 - 1e-9)
    assert found.most_rows(spec, least - 1) == 0


def test_models_of_one_size_have_what_they_took(info, monkeypatch):
    models = [spec_of(info)] * 2
    found = memory.priced(models, memory.Weights(300e6, [1e6] * 2, [200e6] * 2))
    assert found.bytes(models[0]) == pytest.approx(300e6)


def test_a_process_takes_at_least_what_it_holds():
    """Weights, two moments, and a copy of them: 24 bytes a parameter at the same time."""
    options = {"family": "mlp", "data": "teacher", "depth": 2, "num_tokens": 1e4, "lr": 0.01}
    small, large = (RunSpec.resolve(**options, width=w, batch_size=4) for w in (8, 1536))
    found = memory.weigh([small, large])
    for model, state in zip((small, large), found.states, strict=True):
        assert 12 <= state / model.cost.num_params < 13
    first, second = found.peaks
    more = large.cost.num_params - small.cost.num_params
    assert 24 * more < second - first < 48 * more
    assert found.whole > first / 2


def test_muon_holds_one_moment_of_a_large_matrix(info):
    """Jordan et al. 2024: momentum alone, where embeddings have AdamW's two."""
    small, large = (
        spec_of(info, optimizer="muon", width=width, batch_size=2, context=32)
        for width in (16, 512)
    )
    found = memory.weigh([small, large])
    price = memory.priced([small, large], found).prices[0]
    assert 2 * 8 < price < 18
    assert 2 * found.states[0] / small.cost.num_params > 20


def test_the_preview_shows_it_and_says_what_does_not_fit(info, machine, tiny, tmp_path, capsys):
    text = (
        "name: m\ndata: tiny\nfixed: {depth: 4, context: 128, batch_size: 64, lr: 0.01}\n"
        "grid: {product: {width: [16, 128], num_tokens: [1e6]}}\n"
    )
    file = tmp_path / "m.yaml"

    def preview(more=""):
        file.write_text(text + more)
        assert main(["sweep", str(file), "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
        return value["memory"], [w for w in value["warnings"] if "memory" in w]

    large = spec_of(info, depth=4, width=128, context=128, batch_size=64, num_tokens=1e6)
    needed, warnings = preview()
    assert needed["bytes"] == pytest.approx(bytes_of(large), rel=0.01) and warnings == []
    assert main(["sweep", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f" to {needed['bytes'] / 1e6:.3g} MB a run, by 7 weighed models" in printed
    _, (warning,) = preview("resources: {memory: 500MB}\n")
    assert warning.startswith("1 run needs more memory than there is")
    rows = warning.rpartition(" micro_batch: ")[2]
    assert preview(f"resources: {{memory: 500MB, micro_batch: {rows}}}\n")[1] == []
    assert len(preview(f"resources: {{memory: 500MB, micro_batch: {int(rows) + 1}}}\n")[1]) == 1
    (warning,) = preview("resources: {memory: 1GB, side_by_side: 4}\n")[1]
    assert "for 4 side by side" in warning and "set side_by_side: 1" in warning


def test_workers_share_the_machine(info, machine):
    sweep = Sweep.of("x", [spec_of(info, seed=seed) for seed in range(3)])
    assert memory_needed(sweep) is None  # nothing was timed: perhaps runs go on a GPU
    calibration.calibrated(Store.at(), [spec_of(info)])
    each = bytes_of(spec_of(info))
    found = memory_needed(sweep, workers=2, installed=2.1 * each)
    assert found.most == pytest.approx(each, rel=0.01) and found.warnings == ()
    (warning,) = memory_needed(sweep, workers=2, installed=1.9 * each).warnings
    assert warning.startswith("3 runs need") and "use fewer workers" in warning


def test_an_ensemble_holds_the_weights_of_all(info, machine):
    """Of 20 runs, two of them of another shape, as many as are asked for, and pass at once."""
    specs = [spec_of(info, seed=seed) for seed in range(18)]
    specs += [spec_of(info, width=32, seed=seed) for seed in range(2)]
    calibration.calibrated(Store.at(), specs)
    alone = memory_needed(Sweep.of("x", specs))
    sweep = replace(Sweep.of("x", specs), resources={"ensemble": 4})
    found = memory_needed(sweep, installed=1e12)
    for spec, need, members in zip(specs, found.bytes, [4] * 18 + [2] * 2, strict=True):
        beyond = bytes_of(spec) - WORKER
        assert need == pytest.approx(WORKER + members * beyond, rel=0.01)
    room = (alone.most + found.most) / 2
    (warning,) = memory_needed(sweep, installed=room).warnings
    assert warning.endswith("use a larger machine or set ensemble: 2")
    assert found.warnings == ()


def test_what_cannot_be_weighed_is_not_known(machine, monkeypatch, capsys):
    sweep = Sweep.of("x", [image_spec()])
    calibration.calibrated(Store.at(), [image_spec()])
    monkeypatch.setattr(memory, "STEP_FLOPS", 1.0)
    assert memory_needed(sweep).most is None
    monkeypatch.undo()

    def killed(models):
        raise OSError("weighing models ended with -9")

    monkeypatch.setattr(memory, "weigh", killed)
    assert memory.weighed(Store.at(), [image_spec()]) is None
    assert "memory is not known: weighing models ended with -9" in capsys.readouterr().err
