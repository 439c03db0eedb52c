"""How long steps and evaluations take here: a few small models are timed, and kept for a month.

A step's seconds are a sum over what it does, each at a price: the step itself, its layers, its
FLOPs, the outputs that it writes, the scores of its attention and the weights that it moves on. The
prices are the non-negative ones that come nearest, in proportion, to the timed steps (Lawson and
Hanson 1974, ch. 23), so other sizes, shapes and batches have a time as well.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling import RunSpec, evaluated
from scaling.base import Store, digest, hashed, how_compiled, read_json, write_atomic
from scaling.data import DataInfo
from scaling.families import get_family
from sweeps.estimate.made_up import CHUNK, TIMED_CHUNK, card_name, device_name, measure

FILE = "throughput.json"
MAX_AGE = 30 * 24 * 3600.0
STEP_FLOPS = {"cpu": 3e8, "cuda": 2e12}  # of a timed step, at most: a fifth of a core's second
TIMED = 6  # models of a family without shapes of its own
SHAPES: Mapping[str, Sequence[Mapping[str, int]]] = {
    "transformer": (
        {"depth": 1, "width": 32, "context": 32, "batch_size": 4},
        {"depth": 8, "width": 32, "context": 32, "batch_size": 4},
        {"depth": 2, "width": 32, "context": 128, "batch_size": 8},
        {"depth": 2, "width": 64, "context": 32, "batch_size": 16},
        {"depth": 1, "width": 64, "context": 256, "batch_size": 2},
        {"depth": 6, "width": 64, "context": 64, "batch_size": 4},
        {"depth": 2, "width": 128, "context": 64, "batch_size": 4},
        {"depth": 1, "width": 256, "context": 32, "batch_size": 8},
        {"depth": 1, "width": 512, "context": 32, "batch_size": 2},
    ),
    "mlp": (
        {"depth": 1, "width": 8, "batch_size": 16},
        {"depth": 10, "width": 16, "batch_size": 16},
        {"depth": 2, "width": 64, "batch_size": 64},
        {"depth": 2, "width": 32, "batch_size": 512},
        {"depth": 6, "width": 128, "batch_size": 64},
        {"depth": 2, "width": 512, "batch_size": 32},
    ),
}
CUDA_SHAPES: Mapping[str, Sequence[Mapping[str, int]]] = {  # a GPU is idle in those above
    "transformer": (
        {"depth": 1, "width": 64, "context": 128, "batch_size": 16},
        {"depth": 8, "width": 64, "context": 128, "batch_size": 16},
        {"depth": 12, "width": 128, "context": 128, "batch_size": 64},
        {"depth": 2, "width": 128, "context": 256, "batch_size": 128},
        {"depth": 4, "width": 256, "context": 256, "batch_size": 32},
        {"depth": 2, "width": 512, "context": 512, "batch_size": 32},
        {"depth": 8, "width": 512, "context": 128, "batch_size": 32},
        {"depth": 4, "width": 256, "context": 2048, "batch_size": 4},
        {"depth": 2, "width": 1024, "context": 1024, "batch_size": 8},
        {"depth": 1, "width": 2048, "context": 256, "batch_size": 16},
    )
}
# Where steps are timed both compiled and not. Few blocks: compiling each takes seconds.
COMPILED_SHAPES: Mapping[str, Sequence[Mapping[str, int]]] = {
    "cpu": (
        {"depth": 1, "width": 64, "context": 64, "batch_size": 8},
        {"depth": 1, "width": 256, "context": 64, "batch_size": 4},
    ),
    "cuda": (
        {"depth": 2, "width": 512, "context": 512, "batch_size": 32},
        {"depth": 2, "width": 1024, "context": 1024, "batch_size": 16},
        {"depth": 1, "width": 2048, "context": 1024, "batch_size": 16},
    ),
}
INHERITED = ("mlp", "norm", "tied", "vocab_size", "activation", "input_shape", "num_classes")
RUN_SECONDS = 0.1  # a run's start in a worker that has done one: its model, data and journal
WORKER_SECONDS = 4.0  # from a worker's process to its first step


@dataclass(frozen=True)
class Throughput:
    """Exact FLOPs a second of one worker, in training and evaluation.

    Attributes
    ----------
    points : tuple of (FLOPs of a forward pass per token or example, FLOP/s)
        By increasing size.
    device : str
        ``cpu`` or ``cuda``.
    source : str
        Where the numbers come from, in words.
    """

    points: tuple[tuple[float, float], ...]
    device: str
    source: str

    def at(self, flops_forward: float) -> float:
        """FLOP/s at a size: linear in the logarithms between points, constant beyond them."""
        sizes = [size for size, _ in self.points]
        i = bisect_left(sizes, flops_forward)
        if i == 0 or i == len(sizes):
            return self.points[min(i, len(sizes) - 1)][1]
        (n0, r0), (n1, r1) = self.points[i - 1], self.points[i]
        share = math.log(flops_forward / n0) / math.log(n1 / n0)
        return math.exp((1 - share) * math.log(r0) + share * math.log(r1))


@dataclass(frozen=True)
class StepTimes:
    """What steps and evaluations of one worker take, by what they do.

    Attributes
    ----------
    training, evaluation : tuple of float
        Seconds for each of :func:`_amounts`.
    device : str
        ``cpu`` or ``cuda``.
    source : str
        Where the numbers come from, in words.
    factor : float
        What runs took over what these prices say of them.
    card : str
        The GPU's name.
    compiled : tuple of (FLOPs of a forward pass per token, ratio)
        What compiled steps take over those that are not, by size; empty where none was timed.
    """

    training: tuple[float, ...]
    evaluation: tuple[float, ...]
    device: str
    source: str
    factor: float = 1.0
    card: str = ""
    compiled: tuple[tuple[float, float], ...] = ()

    def step(self, spec: RunSpec, *, compiled: bool = False) -> float:
        """Seconds of one optimiser step."""
        amounts = _amounts(spec, spec.units_per_step, spec.cost.flops_train)
        ratio = 1.0
        if compiled and self.compiled:
            ratio = Throughput(self.compiled, self.device, "").at(spec.cost.flops_forward)
        return self.factor * ratio * _total(self.training, amounts)

    def how_compiled(self, spec: RunSpec, asked: str, processes: int = 1) -> str:
        """How a run will be compiled here, as its resources ask for it; empty for not at all."""
        arithmetic = "bfloat16" if spec.train.precision == "bfloat16" else "tf32"
        return how_compiled(asked, spec.flops, self.card, arithmetic, processes, spec.equal_blocks)

    def evaluating(self, spec: RunSpec, seen: int) -> float:
        """Seconds to evaluate so many held-out tokens (examples)."""
        chunk = CHUNK[self.device][spec.cost.unit]
        amounts = _amounts(spec, chunk, spec.cost.flops_forward)
        return self.factor * _total(self.evaluation, amounts) * seen / chunk

    def timed_chunk(self, spec: RunSpec) -> float:
        """Seconds of a chunk of an evaluation as :func:`measure` times it."""
        chunk = TIMED_CHUNK[self.device][spec.cost.unit]
        amounts = _amounts(spec, chunk, spec.cost.flops_forward)
        return self.factor * _total(self.evaluation, amounts)

    def seconds(
        self, spec: RunSpec, heldout: int, first_step: int = 0, *, compiled: bool = False
    ) -> float:
        """Seconds of a run from ``first_step`` to its end, with its evaluations."""
        seen = evaluated(spec.train, heldout, spec.units_per_step, first_step)
        trained = (spec.num_steps - first_step) * self.step(spec, compiled=compiled)
        return trained + self.evaluating(spec, seen)


def _amounts(spec: RunSpec, units: int, flops: float) -> tuple[float, ...]:
    """What a pass over ``units`` tokens (examples) does: see the module."""
    model, cost = spec.model, spec.cost
    depth = float(getattr(model, "depth", 1))
    heads, context = getattr(model, "heads", 0), getattr(model, "context", 0)
    scores = depth * heads * context * units if context else 0.0  # images: heads of each stage
    written = float(cost.activations * units)
    return 1.0, depth, flops * units, written, scores, float(cost.num_params)


def _total(prices: Sequence[float], amounts: Sequence[float]) -> float:
    return sum(price * amount for price, amount in zip(prices, amounts, strict=True))


def calibrated(
    store: Store, specs: list[RunSpec], asked: Sequence[tuple[str, int]] = ()
) -> StepTimes:
    """Prices of steps for models of one family, from those kept or from timing a few.

    A transformer or an MLP is timed at ``SHAPES``, with the options of the first spec that change
    a layer's work, its precision and its optimiser; other families at some of the specs from the
    smallest to the largest, or, where each step of these takes too long, as transformers.

    Where one of the specs will be compiled, by what is ``asked`` for it and its processes, steps
    are also timed compiled: as transformers, at ``COMPILED_SHAPES``.
    """
    known = kept(store)
    if "device" not in known:  # torch takes seconds to import: not for what is known
        known["device"] = {"name": device_name(), "card": card_name(), "time": time.time()}
    device, card = known["device"]["name"], known["device"].get("card", "")
    models = _to_time(specs, device)
    key = digest(
        {
            "models": [{"family": m.family, **hashed(m.model)} for m in models],
            "batches": [m.train.batch_size for m in models],
            "precision": models[0].train.precision,
            "optimizer": models[0].optim.optimizer,
            "device": device,
        }
    )
    if key not in known:
        found = priced(models, [measure(model) for model in models], device)
        known[key] = {**asdict(found), "time": time.time()}
        keep(store, known)
    value = known[key]
    prices = tuple(value["training"]), tuple(value["evaluation"])
    times = StepTimes(*prices, value["device"], value["source"], card=card)
    wanted = zip(specs, asked, strict=False)
    if not any(times.how_compiled(spec, *how) for spec, how in wanted):
        return times
    first = models[0] if models[0].family == "transformer" else _any_transformer()
    key = digest({"compiled": key, "shapes": COMPILED_SHAPES[device]})
    if key not in known:
        known[key] = {"ratios": compiled_ratios(first, device), "time": time.time()}
        keep(store, known)
    return replace(times, compiled=tuple((size, ratio) for size, ratio in known[key]["ratios"]))


def compiled_ratios(first: RunSpec, device: str) -> list[tuple[float, float]]:
    """For transformers like ``first``, by size: a compiled step over one that is not."""
    models = shapes(first, COMPILED_SHAPES[device])
    models.sort(key=lambda model: model.cost.flops_forward)
    return [
        (model.cost.flops_forward, measure(model, compiled=True)[0] / measure(model)[0])
        for model in models
    ]


def priced(models: Sequence[RunSpec], times: Sequence[tuple[float, ...]], device: str) -> StepTimes:
    """Prices from the seconds that each model's step and a chunk of its evaluation took."""
    steps = [_amounts(m, m.units_per_step, m.cost.flops_train) for m in models]
    timed = TIMED_CHUNK[device]
    chunks = [_amounts(m, timed[m.cost.unit], m.cost.flops_forward) for m in models]
    return StepTimes(
        _prices(steps, [step for step, _ in times]),
        _prices(chunks, [chunk for _, chunk in times]),
        device,
        f"timed steps of {len(models)} models of {models[0].family}",
    )


def local_device(store: Store) -> str | None:
    """The device that was calibrated here; None before."""
    name: str | None = kept(store).get("device", {}).get("name")
    return name


def _to_time(specs: list[RunSpec], device: str) -> list[RunSpec]:
    first = specs[0]
    if wanted := timed_shapes(first.family, device):
        return shapes(first, wanted)
    return spread_over(specs, STEP_FLOPS[device], TIMED) or shapes(
        _any_transformer(), timed_shapes("transformer", device)
    )


def spread_over(specs: Sequence[RunSpec], most_flops: float, count: int) -> list[RunSpec]:
    """At most ``count`` of the specs whose steps take no more FLOPs, by these, smallest first."""

    def flops(spec: RunSpec) -> float:
        return spec.cost.flops_train * spec.units_per_step

    fits = sorted((spec for spec in specs if flops(spec) <= most_flops), key=flops)
    chosen = {i * (len(fits) - 1) // (count - 1) for i in range(count)} if fits else set()
    return [fits[i] for i in sorted(chosen)]


def timed_shapes(family: str, device: str) -> Sequence[Mapping[str, int]]:
    """The shapes at which a family is timed on a device; none for a family without its own."""
    on_cuda = CUDA_SHAPES.get(family, ()) if device == "cuda" else ()
    return on_cuda or SHAPES.get(family, ())


def _any_transformer() -> RunSpec:
    info = DataInfo("made up", "", "token", 10**6, 10**5, vocab_size=256)
    options: dict[str, Any] = {"depth": 1, "width": 32, "context": 32, "lr": 0.01}
    return RunSpec.resolve(info=info, **options, num_tokens=1e5)


def shapes(first: RunSpec, wanted: Sequence[Mapping[str, int]]) -> list[RunSpec]:
    """Runs like the first one in all but their models' sizes and their batches."""
    family = get_family(first.family)
    same = {n: getattr(first.model, n) for n in INHERITED if hasattr(first.model, n)}
    found = []
    for shape in wanted:
        model = family.resolve({**same, **{k: v for k, v in shape.items() if k != "batch_size"}})
        train = replace(first.train, batch_size=shape["batch_size"])
        found.append(replace(first, model=model, train=train))
    return found


def _prices(amounts: Sequence[Sequence[float]], seconds: Sequence[float]) -> tuple[float, ...]:
    """The non-negative prices whose sums are nearest to ``seconds``, in proportion."""
    import numpy as np
    from scipy.optimize import nnls

    table = np.asarray(amounts, float)
    scale = np.maximum(table.max(axis=0), 1e-300)
    found, _ = nnls(table / scale / np.asarray(seconds)[:, None], np.ones(len(seconds)))
    return tuple(float(price) for price in found / scale)


def kept(store: Store) -> dict[str, Any]:
    """What ``throughput.json`` holds of the last month."""
    value = read_json(store.root / FILE) or {}
    now = time.time()
    return {
        key: entry
        for key, entry in value.items()
        if isinstance(entry, dict) and now - entry.get("time", 0) < MAX_AGE
    }


def keep(store: Store, kept: dict[str, Any]) -> None:
    """Write it, with what was measured now."""
    with contextlib.suppress(OSError):  # a root that cannot be written to: measured again next time
        write_atomic(store.root / FILE, json.dumps(kept, indent=1))
