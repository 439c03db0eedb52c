"""Losses that are judged later, and utilisation."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.base import peak_flops
from scaling.spec import RunSpec
from scaling.training import meter
from scaling.training.meter import EVERY, Meter, Watch

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


def steps_until_told(device, losses):
    watch = Watch(device)
    for step, loss in enumerate(losses, start=1):
        if reason := watch.see(step, torch.tensor(loss)):
            return step, reason
    return math.inf, watch.settle()


def test_on_the_cpu_an_explosion_is_seen_at_once():
    assert steps_until_told(CPU, [2.0, 5.9, 6.1]) == (3, "training loss 6.1 at step 3")
    assert steps_until_told(CPU, [0.1, 2.9, math.nan])[0] == 3


def test_elsewhere_it_is_seen_when_the_next_look_begins():
    losses = [2.0] * (EVERY - 1) + [9.0] * 100
    assert steps_until_told(ELSEWHERE, losses) == (2 * EVERY, f"training loss 9 at step {EVERY}")
    assert steps_until_told(ELSEWHERE, losses[: EVERY + 3])[1] is not None  # at the end at last
    assert steps_until_told(ELSEWHERE, [2.0] * 100) == (math.inf, None)


def test_a_watch_that_goes_on_knows_the_first_loss():
    watch = Watch(CPU)
    watch.first = 1.5
    assert watch.see(100, 4.4) is None
    assert watch.see(101, 4.6) is not None


def test_utilisation_counts_training_alone(tiny, monkeypatch):
    spec = RunSpec.resolve(**tiny)
    now = [100.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(meter, "peak_flops", lambda *_: 1e9)
    used = Meter(spec, CPU, 4)
    used.began(3)
    now[0] += 2.0
    with used.paused():
        now[0] += 50.0
    flops = spec.cost.flops_exact * spec.units_per_step
    assert used.since(7) == {"mfu": pytest.approx(4 * flops / 2.0 / 4e9, abs=1e-4)}
    now[0] += 1.0
    assert used.since(9) == {"mfu": pytest.approx(2 * flops / 1.0 / 4e9, abs=1e-4)}
    # All of it but what came before the first point, where kernels are compiled.
    assert used.overall(9) == {"mfu": pytest.approx(2 * flops / 1.0 / 4e9, abs=1e-4)}


def test_without_a_known_peak_nothing_is_said(tiny):
    used = Meter(RunSpec.resolve(**tiny), CPU, 1)
    used.began(0)
    assert used.since(5) == used.overall(5) == {}


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        # What torch.cuda.get_device_name gives; dense rates of NVIDIA's data sheets.
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
        ("Tesla K80", None),
        ("", None),
    ],
)
def test_peaks_by_name(card, peak):
    assert peak_flops(card, "bfloat16") == peak
    assert peak_flops(card, "float32") is None
