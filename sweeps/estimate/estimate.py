"""What a sweep will take: FLOPs, hours, money, energy and CO2e."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling import ProgramSpec, RunSpec, Spec, cooldown_start
from scaling.base import BLOCK_SECONDS, WATTS, Store
from sweeps.estimate.calibration import (
    RUN_SECONDS,
    WORKER_SECONDS,
    StepTimes,
    Throughput,
)
from sweeps.estimate.prices import Prices
from sweeps.estimate.throughput import heldout_sizes, kind_of, size_of, throughput, work
from sweeps.resources import ResourceRules
from sweeps.sweep import Sweep


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take; times and what follows are None where no rate is known.

    Attributes
    ----------
    flops : float
        Of all runs, each by itself.
    flops_spent : float
        Really computed in training: what runs share is counted once.
    flops_evaluation : float or None
        Of evaluations, learning curves and those of training data included; None for programs,
        whose are their own.
    hours : float
        From start to end, with ``workers`` runs at a time; where steps were timed, with what a
        worker and each run take to start.
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

    flops: float
    flops_spent: float
    flops_evaluation: float | None
    hours: float | None
    worker_hours: float | None
    longest_hours: float | None
    flops_per_second: float | None
    measured: str
    device: str | None
    workers: int
    devices: int | None
    watts: float | None
    price_per_hour: float
    cost: float | None
    kwh: float | None
    kg_co2e: float | None
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
    heldout, starts = heldout_sizes(specs), first_steps(sweep)
    whole = [work(*of_run) for of_run in zip(specs, heldout, starts, strict=True)]
    spent = sum(spent_flops(sweep))
    ours = not any(isinstance(spec, ProgramSpec) for spec in specs)
    store = Store.at(root)
    asked = _compiling(sweep)
    rates = {kind_of(spec): rate for spec in specs} if rate else throughput(store, specs, asked)
    known = {kind: found for kind, found in rates.items() if found is not None}
    count = int(assumed.workers)
    empty = Estimate(
        flops=sweep.flops,
        flops_spent=spent,
        flops_evaluation=sum(whole) - spent if ours else None,
        hours=None,
        worker_hours=None,
        longest_hours=None,
        flops_per_second=None,
        measured="; ".join(sorted({found.source for found in known.values()})),
        device=None,
        workers=count,
        devices=assumed.devices and int(assumed.devices),
        watts=assumed.watts,
        price_per_hour=assumed.price_per_hour,
        cost=None,
        kwh=None,
        kg_co2e=None,
        pue=assumed.pue,
        kg_co2e_per_kwh=assumed.kg_co2e_per_kwh,
    )
    if missing := sorted(kind for kind, found in rates.items() if found is None):
        unknown = (
            f"no finished run of {', '.join(missing)} in {store.root} says how fast it is; "
            "estimate: {flops_per_second: ...} in the sweep file would"
        )
        return replace(empty, measured=unknown)
    seconds = [
        _seconds(known[kind_of(spec)], spec, flops, held, start, how)
        for spec, flops, held, start, how in zip(specs, whole, heldout, starts, asked, strict=True)
    ]
    device = "cuda" if any(found.device == "cuda" for found in known.values()) else "cpu"
    timed = any(isinstance(found, StepTimes) for found in known.values())
    hours = (makespan(seconds, count) + WORKER_SECONDS * timed) / 3600
    devices = int(assumed.devices or (1 if device == "cpu" else count))
    watts = assumed.watts if assumed.watts is not None else WATTS[device]
    kwh = hours * devices * watts * assumed.pue / 1000
    return replace(
        empty,
        hours=hours,
        worker_hours=sum(seconds) / 3600,
        longest_hours=max(seconds, default=0.0) / 3600,
        flops_per_second=sum(whole) / sum(seconds) if seconds else 0.0,
        device=device,
        devices=devices,
        watts=watts,
        cost=hours * devices * assumed.price_per_hour,
        kwh=kwh,
        kg_co2e=kwh * assumed.kg_co2e_per_kwh,
    )


def _compiling(sweep: Sweep) -> list[tuple[str, int]]:
    """For each run what is asked of compiling, and over how many GPUs it goes."""
    rules = ResourceRules.parse(sweep.resources)
    found = []
    for entry in sweep:
        given = rules.of(entry.spec.cost.num_params if isinstance(entry.spec, RunSpec) else 0)
        found.append((given.compile, max(1, given.gpus)))
    return found


def _seconds(
    rate: Throughput | StepTimes,
    spec: Spec,
    flops: float,
    heldout: int,
    first_step: int,
    asked: tuple[str, int],
) -> float:
    """What a run takes of its worker's time, its start included where that is known."""
    if isinstance(rate, StepTimes) and isinstance(spec, RunSpec):
        how = rate.how_compiled(spec, *asked)
        start = RUN_SECONDS
        if how and rate.device == "cuda":
            start += BLOCK_SECONDS * (getattr(spec.model, "depth", 1) if how == "whole" else 1)
        return rate.seconds(spec, heldout, first_step, compiled=bool(how)) + start
    assert isinstance(rate, Throughput)
    return flops / rate.at(size_of(spec))


def spent_flops(sweep: Sweep) -> list[float]:
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
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for i, entry in enumerate(sweep):
        spec = entry.spec
        if isinstance(spec, RunSpec) and spec.trunk_id is not None:
            groups[spec.trunk_id].append((cooldown_start(spec.schedule, spec.num_steps), i))
    for members in groups.values():
        left_at = 0
        for start, i in sorted(members):
            first[i], left_at = left_at, start
    return first


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of ``workers`` is done if each takes the longest run that is left.

    At most 4/3 - 1/(3 workers) of the shortest possible (Graham 1969).
    """
    longest_first = sorted(seconds, reverse=True)
    busy = [0.0] * min(workers, max(1, len(longest_first)))
    for duration in longest_first:
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
