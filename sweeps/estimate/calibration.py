"""How many FLOPs a second one worker does, measured: some training steps, kept for a month."""

from __future__ import annotations

import contextlib
import json
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from scaling import RunSpec
from scaling.base import Store, digest, hashed, read_json, write_atomic
from scaling.families import TRANSFORMER, get_family

FILE = "throughput.json"
TIMED = 4  # models of a family
MAX_AGE = 30 * 24 * 3600.0
STEP_FLOPS = {"cpu": 3e8, "cuda": 2e12}  # of a timed step, at most: a fifth of a core's second


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

    def is_far_from(self, sizes: Iterable[float], factor: float) -> bool:
        """Whether one of ``sizes`` is more than ``factor`` below or above those of the points."""
        low, high = self.points[0][0] / factor, self.points[-1][0] * factor
        return not all(low <= size <= high for size in sizes)

    def extended(self, other: Throughput, sizes: Iterable[float]) -> Throughput:
        """This one, and for ``sizes`` beyond its points what ``other`` tells on the same device.

        How a rate grows with size is taken from ``other``, its level from the nearest point.
        """
        if other.device != self.device:
            return self
        low, high = self.points[0], self.points[-1]
        added = []
        for size in {*sizes}:
            if not low[0] <= size <= high[0]:
                nearest, rate = low if size < low[0] else high
                added.append((size, rate * other.at(size) / other.at(nearest)))
        source = f"{self.source}, beyond their sizes {other.source}"
        return replace(self, points=tuple(sorted([*self.points, *added])), source=source)


def calibrated(store: Store, specs: list[RunSpec]) -> Throughput:
    """Measured rates of models of one family from the smallest to the largest, ``TIMED`` at most.

    A transformer, and models of which one step takes too long, are taken as small transformers
    and a matrix product. All are kept in ``ROOT/throughput.json`` for a month.
    """
    kept = _kept(store)
    if "device" not in kept:  # torch takes seconds to import: not for what is known
        kept["device"] = {"name": _device(), "time": time.time()}
    device = kept["device"]["name"]
    timed = sorted(
        (spec for spec in specs if _batch(spec, device)), key=lambda spec: spec.cost.flops_forward
    )
    if specs[0].family == "transformer" or not timed:
        return _general(store, kept)
    points: dict[float, float] = {}
    for i in range(TIMED):
        spec = timed[i * (len(timed) - 1) // (TIMED - 1)]
        train = spec.train
        key = digest(
            {
                "family": spec.family,
                "model": hashed(spec.model),
                "batch_size": train.batch_size,
                "precision": train.precision,
                "device": device,
            }
        )
        if key not in kept:
            kept[key] = {"rate": measure(spec), "time": time.time()}
            _keep(store, kept)
        points[spec.cost.flops_forward] = kept[key]["rate"]
    family = specs[0].family
    return Throughput(tuple(sorted(points.items())), device, f"timed steps of its {family}")


def _general(store: Store, kept: dict[str, Any]) -> Throughput:
    if "general" not in kept:
        kept["general"] = {**asdict(calibrate()), "time": time.time()}
        _keep(store, kept)
    value = kept["general"]
    points = tuple((float(n), float(rate)) for n, rate in value["points"])
    return Throughput(points, value["device"], value["source"])


def _kept(store: Store) -> dict[str, Any]:
    """What ``throughput.json`` holds of the last month."""
    value = read_json(store.root / FILE) or {}
    now = time.time()
    return {
        key: entry
        for key, entry in value.items()
        if isinstance(entry, dict) and now - entry.get("time", 0) < MAX_AGE
    }


def _keep(store: Store, kept: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a root that cannot be written to: measured again next time
        write_atomic(store.root / FILE, json.dumps(kept, indent=1))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _batch(spec: RunSpec, device: str) -> int:
    """Items of a timed step, at most those of a real one; 0 if two would take too long."""
    item = spec.cost.flops_train * get_family(spec.family).units_per_item(spec.model)
    items = min(spec.train.batch_size, int(STEP_FLOPS[device] // item))
    return items if items > 1 else 0


def measure(spec: RunSpec, seconds: float = 0.25) -> float:
    """FLOP/s of training steps of a run's model on made-up data, by one thread on a CPU."""
    import torch

    from scaling.training import make_optimizer

    device = torch.device(_device())
    family, items = get_family(spec.family), _batch(spec, device.type)
    with _as_a_worker(torch):
        model = family.build(spec.model).to(device)
        optimizer = make_optimizer(spec, model)
        shape = (items, *family.input_shape(spec.model))
        is_text = family.unit == "token"
        inputs = (torch.zeros if is_text else torch.rand)(
            shape, dtype=torch.long if is_text else None, device=device
        )
        labels = torch.zeros(items, dtype=torch.long, device=device)

        def loss(outputs: Any) -> Any:
            if is_text or spec.train.task:  # what a user's task asks of them is not known
                return outputs.square().mean()
            return torch.nn.functional.cross_entropy(outputs, labels)

        def step() -> None:
            with torch.autocast(
                device.type, torch.bfloat16, enabled=spec.train.precision == "bfloat16"
            ):
                outputs = model(inputs)
            loss(outputs.float()).backward()
            if spec.optim.grad_clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return spec.cost.flops_train * items / _time(torch, device, step, seconds)


@contextlib.contextmanager
def _as_a_worker(torch: Any) -> Iterator[None]:
    """One thread, as workers have; torch's own settings are put back."""
    threads, random = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.random.set_rng_state(random)


def calibrate(seconds: float = 1.5) -> Throughput:
    """Time training steps of four small transformers, and a matrix product for the large.

    One thread on a CPU, as workers have; the accelerator where there is one.
    """
    import torch

    device = torch.device(_device())
    with _as_a_worker(torch):
        share = seconds / (len(_SHAPES) + 1)
        points = [_model_rate(torch, device, *shape, share) for shape in _SHAPES]
        points.append((2e9, _product_rate(torch, device, share)))
    return Throughput(tuple(points), device.type, f"a calibration of {seconds:g} s")


_SHAPES = ((2, 16), (2, 32), (3, 96), (4, 256))  # depth, width


def _model_rate(
    torch: Any, device: Any, depth: int, width: int, seconds: float
) -> tuple[float, float]:
    config = TRANSFORMER.resolve({"depth": depth, "width": width})
    cost = TRANSFORMER.cost(config)
    model = TRANSFORMER.build(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    tokens = torch.zeros(8, config.context, dtype=torch.long, device=device)

    def step() -> None:
        logits = model(tokens)
        torch.nn.functional.cross_entropy(logits.flatten(0, -2), tokens.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return cost.flops_forward, cost.flops_train * tokens.numel() / _time(
        torch, device, step, seconds
    )


def _product_rate(torch: Any, device: Any, seconds: float) -> float:
    n = 512 if device.type == "cpu" else 4096
    matrix = torch.randn(n, n, device=device)
    return float(2 * n**3 / _time(torch, device, lambda: matrix @ matrix, seconds))


def _time(torch: Any, device: Any, step: Callable[[], Any], seconds: float) -> float:
    """Seconds a step: the median of those that fit in ``seconds``, after one to warm up.

    On a CPU of processor time: what else runs now says nothing about when the sweep will run.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    step()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return median(times)
