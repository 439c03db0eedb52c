"""What a sweep will take: FLOPs, hours, money, energy and CO2e."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling.energy import WATTS
from scaling.optim import cooldown_start
from scaling.store import Store
from sweeps.prices import Prices
from sweeps.sweep import Sweep
from sweeps.throughput import Throughput, throughput


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take.

    Attributes
    ----------
    flops : int
        Of all runs, each by itself.
    flops_spent : int
        Really computed: what runs share is counted once.
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
        In place of a measurement.
    """
    assumed = prices or Prices()
    if workers is not None:
        assumed = replace(assumed, workers=workers)
    if rate is None and assumed.flops_per_second is not None:
        rate = Throughput(((1.0, assumed.flops_per_second),), "cpu", "the sweep file")
    rate = rate or throughput(Store.at(root))
    spent = spent_flops(sweep)
    seconds = [
        flops / rate.at(entry.spec.cost.num_params)
        for entry, flops in zip(sweep, spent, strict=True)
    ]
    count = int(assumed.workers)
    hours = makespan(seconds, count) / 3600
    devices = int(assumed.devices or (1 if rate.device == "cpu" else count))
    watts = assumed.watts if assumed.watts is not None else WATTS.get(rate.device, WATTS["cpu"])
    kwh = hours * devices * watts * assumed.pue / 1000
    return Estimate(
        flops=sweep.flops,
        flops_spent=sum(spent),
        hours=hours,
        worker_hours=sum(seconds) / 3600,
        longest_hours=max(seconds, default=0.0) / 3600,
        flops_per_second=sum(spent) / sum(seconds) if seconds else 0.0,
        measured=rate.source,
        device=rate.device,
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
    """FLOPs really computed for each run, in order, when trunks are shared.

    Runs on one constant-rate trunk pay for it once: in order of length, each pays from where
    the last one left the trunk to where it leaves it, and for its own cooldown. Their sum is
    the longest trunk plus every cooldown (Hägele et al. 2024).
    """
    spent = [entry.spec.flops for entry in sweep]
    groups: dict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(sweep):
        trunk = entry.spec.trunk_id
        if trunk is not None:
            groups[trunk].append(i)
    for members in groups.values():
        left_at = 0
        for start, i in sorted((_branch(sweep, i), i) for i in members):
            spec = sweep.entries[i].spec
            steps = spec.num_steps - left_at
            spent[i] = steps * spec.units_per_step * spec.cost.flops_train
            left_at = start
    return spent


def _branch(sweep: Sweep, i: int) -> int:
    spec = sweep.entries[i].spec
    return cooldown_start(spec.schedule, spec.num_steps)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of ``workers`` is done if each takes the longest run that is left.

    At most 4/3 - 1/(3 workers) of the shortest possible (Graham 1969).
    """
    busy = [0.0] * workers
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
