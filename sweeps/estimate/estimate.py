"""What a sweep will take: FLOPs, hours, money, energy and CO2e."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling import cooldown_start
from scaling.base import WATTS, Store
from sweeps.estimate.calibration import Throughput
from sweeps.estimate.prices import Prices
from sweeps.estimate.throughput import heldout_size, throughput, work
from sweeps.sweep import Sweep


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take.

    Attributes
    ----------
    flops : int
        Of all runs, each by itself.
    flops_spent : int
        Really computed in training: what runs share is counted once.
    flops_evaluation : int
        Of held-out evaluations, learning curves included.
    hours : float
        From start to end, with ``workers`` runs at a time.
    worker_hours : float
        Of all runs together.
    longest_hours : float
        Of the longest run.
    flops_per_second : float
        Of one worker, over the whole sweep.
    measured : str
        Where the rate comes from.
    device : str
    workers, devices : int
    watts : float
        Of one device.
    price_per_hour : float
    cost : float
        hours x devices x price_per_hour.
    kwh : float
        hours x devices x watts x PUE / 1000 (Strubell et al. 2019, eq. 1).
    kg_co2e : float
        kwh x ``kg_co2e_per_kwh`` (Strubell et al. 2019, eq. 2: 0.954 lb a kWh).
    pue, kg_co2e_per_kwh : float
    """

    flops: int
    flops_spent: int
    flops_evaluation: int
    hours: float
    worker_hours: float
    longest_hours: float
    flops_per_second: float
    measured: str
    device: str
    workers: int
    devices: int
    watts: float
    price_per_hour: float
    cost: float
    kwh: float
    kg_co2e: float
    pue: float
    kg_co2e_per_kwh: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def estimate(
    sweep: Sweep,
    prices: Prices | None = None,
    *,
    root: Any = None,
    workers: int | None = None,
    rate: Throughput | None = None,
) -> Estimate:
    """What ``sweep`` will take on the machines at hand.

    Parameters
    ----------
    sweep : Sweep
    prices : Prices, optional
        Assumptions; a sweep file's ``estimate`` block.
    root : path, optional
        The store whose finished runs say how fast things go.
    workers : int, optional
        In place of ``prices.workers``.
    rate : Throughput, optional
        In place of a measurement, for all families.
    """
    assumed = prices or Prices()
    if workers is not None:
        assumed = replace(assumed, workers=workers)
    if rate is None and assumed.flops_per_second is not None:
        rate = Throughput(((1.0, assumed.flops_per_second),), "cpu", "the sweep file")
    specs = [entry.spec for entry in sweep]
    heldout = {name: heldout_size(name) for name in {spec.data.data for spec in specs}}
    starts = first_steps(sweep)
    whole = [
        work(spec, heldout[spec.data.data], start)
        for spec, start in zip(specs, starts, strict=True)
    ]
    spent = spent_flops(sweep)
    rates = (
        dict.fromkeys({spec.family for spec in specs}, rate)
        if rate
        else throughput(Store.at(root), specs)
    )
    seconds = [
        flops / rates[spec.family].at(spec.cost.flops_forward)
        for spec, flops in zip(specs, whole, strict=True)
    ]
    device = "cuda" if any(found.device == "cuda" for found in rates.values()) else "cpu"
    count = int(assumed.workers)
    hours = makespan(seconds, count) / 3600
    devices = int(assumed.devices or (1 if device == "cpu" else count))
    watts = assumed.watts if assumed.watts is not None else WATTS[device]
    kwh = hours * devices * watts * assumed.pue / 1000
    return Estimate(
        flops=sweep.flops,
        flops_spent=sum(spent),
        flops_evaluation=sum(whole) - sum(spent),
        hours=hours,
        worker_hours=sum(seconds) / 3600,
        longest_hours=max(seconds, default=0.0) / 3600,
        flops_per_second=sum(whole) / sum(seconds) if seconds else 0.0,
        measured="; ".join(sorted({found.source for found in rates.values()})),
        device=device,
        workers=count,
        devices=devices,
        watts=watts,
        price_per_hour=assumed.price_per_hour,
        cost=hours * devices * assumed.price_per_hour,
        kwh=kwh,
        kg_co2e=kwh * assumed.kg_co2e_per_kwh,
        pue=assumed.pue,
        kg_co2e_per_kwh=assumed.kg_co2e_per_kwh,
    )


def spent_flops(sweep: Sweep) -> list[int]:
    """FLOPs of training really computed for each run, in order, when trunks are shared."""
    return [
        (entry.spec.num_steps - start) * entry.spec.units_per_step * entry.spec.cost.flops_train
        for entry, start in zip(sweep, first_steps(sweep), strict=True)
    ]


def first_steps(sweep: Sweep) -> list[int]:
    """The step at which each run leaves its trunk where another has brought it; 0 without one.

    Runs on one constant-rate trunk pay for it once: in order of length, each pays from where
    the last one left the trunk to where it leaves it, and for its own cooldown. Their sum is
    the longest trunk plus every cooldown (Hägele et al. 2024).
    """
    first = [0] * len(sweep)
    groups: dict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(sweep):
        trunk = entry.spec.trunk_id
        if trunk is not None:
            groups[trunk].append(i)
    for members in groups.values():
        left_at = 0
        for start, i in sorted((_branch(sweep, i), i) for i in members):
            first[i], left_at = left_at, start
    return first


def _branch(sweep: Sweep, i: int) -> int:
    spec = sweep.entries[i].spec
    return cooldown_start(spec.schedule, spec.num_steps)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of ``workers`` is done if each takes the longest run that is left.

    At most 4/3 - 1/(3 workers) of the shortest possible (Graham 1969).
    """
    longest_first = sorted(seconds, reverse=True)
    busy = [0.0] * min(workers, max(1, len(longest_first)))
    for duration in longest_first:
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
