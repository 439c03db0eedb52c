"""How many training FLOPs a second one worker does, by model size: from past runs, or measured."""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from scaling.journal import SPEC, end, read_journal
from scaling.spec import RunSpec
from scaling.store import Store, read_json, write_atomic

FILE = "throughput.json"
MOST_RUNS = 200  # newest runs to look at: reading journals must not take longer than calibrating
MAX_AGE = 30 * 24 * 3600.0
SHORTEST = 0.5  # seconds; a shorter run is all start-up


@dataclass(frozen=True)
class Throughput:
    """Exact training FLOPs a second of one worker.

    Attributes
    ----------
    points : tuple of (num_params, FLOP/s)
        By increasing size.
    device : str
        ``cpu`` or ``cuda``.
    source : str
        Where the numbers come from, in words.
    """

    points: tuple[tuple[float, float], ...]
    device: str
    source: str

    def at(self, num_params: float) -> float:
        """FLOP/s at a size: linear in the logarithms between points, constant beyond them."""
        sizes = [size for size, _ in self.points]
        i = bisect_left(sizes, num_params)
        if i == 0 or i == len(sizes):
            return self.points[min(i, len(sizes) - 1)][1]
        (n0, r0), (n1, r1) = self.points[i - 1], self.points[i]
        share = math.log(num_params / n0) / math.log(n1 / n0)
        return math.exp((1 - share) * math.log(r0) + share * math.log(r1))


def throughput(store: Store) -> Throughput:
    """From finished runs under ``store.root`` if there are any, else from a calibration."""
    return from_runs(store) or calibrated(store)


def from_runs(store: Store) -> Throughput | None:
    """The median rate of each size among the newest finished runs; None without any.

    Only runs on the newest one's kind of device count.
    """
    found: list[tuple[float, str, int, float]] = []
    folders = [folder for folder in (store.root / "runs").glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[:MOST_RUNS]:
        events = read_journal(folder)
        last, spec = end(events), read_json(folder / SPEC)
        devices = [event["device"] for event in events if event["event"] == "start"]
        if last is None or spec is None or not devices:
            continue
        seconds, spent = last.get("seconds") or 0.0, last.get("flops_spent") or 0.0
        if seconds < SHORTEST or spent <= 0:
            continue
        try:
            size = RunSpec.from_dict(spec).cost.num_params
        except ValueError:  # a run of a later release says nothing about this one
            continue
        device = str(devices[-1]).partition(":")[0]
        found.append((last.get("time", 0.0), device, size, spent / seconds))
    if not found:
        return None
    device = max(found)[1]
    rates: dict[int, list[float]] = {}
    for _, on, size, rate in found:
        if on == device:
            rates.setdefault(size, []).append(rate)
    runs = sum(len(of_size) for of_size in rates.values())
    return Throughput(
        points=tuple((size, median(of_size)) for size, of_size in sorted(rates.items())),
        device=device,
        source=f"{runs} finished run{'s' if runs > 1 else ''} in {store.root}",
    )


def calibrated(store: Store) -> Throughput:
    """The calibration kept in ``ROOT/throughput.json``, made anew when missing or a month old."""
    path = store.root / FILE
    kept = _kept(path)
    if kept:
        return kept
    measured = calibrate()
    try:
        write_atomic(path, json.dumps({**asdict(measured), "time": time.time()}, indent=1))
    except OSError:  # a root that cannot be written to: measure again next time
        return measured
    return measured


def _kept(path: Path) -> Throughput | None:
    value = read_json(path) or {}
    try:
        points = tuple((float(n), float(rate)) for n, rate in value["points"])
        fresh = time.time() - value["time"] < MAX_AGE
        return Throughput(points, value["device"], value["source"]) if fresh else None
    except (KeyError, TypeError, ValueError):  # not there, or not ours: measure again
        return None


def calibrate(seconds: float = 1.5) -> Throughput:
    """Time training steps of three small transformers, and a matrix product for the large.

    One thread on a CPU, as workers have; the accelerator where there is one.
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = torch.get_num_threads()
    random = torch.random.get_rng_state()
    torch.set_num_threads(1)
    try:
        share = seconds / (len(_SHAPES) + 1)
        points = [_model_rate(torch, device, *shape, share) for shape in _SHAPES]
        points.append((1e9, _product_rate(torch, device, share)))
    finally:
        torch.set_num_threads(threads)
        torch.random.set_rng_state(random)
    return Throughput(tuple(points), device.type, f"a calibration of {seconds:g} s")


_SHAPES = ((2, 32), (3, 96), (4, 256))  # depth, width


def _model_rate(
    torch: Any, device: Any, depth: int, width: int, seconds: float
) -> tuple[float, float]:
    from scaling.families.transformer import TRANSFORMER

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

    return cost.num_params, cost.flops_train * tokens.numel() / _time(torch, device, step, seconds)


def _product_rate(torch: Any, device: Any, seconds: float) -> float:
    n = 512 if device.type == "cpu" else 4096
    matrix = torch.randn(n, n, device=device)
    return float(2 * n**3 / _time(torch, device, lambda: matrix @ matrix, seconds))


def _time(torch: Any, device: Any, step: Callable[[], Any], seconds: float) -> float:
    """Seconds a step: the median of those that fit in ``seconds``, after one to warm up."""
    step()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times)
