"""How many FLOPs a second one worker does on models of a family: from past runs, or measured."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from scaling import RunSpec, evaluated
from scaling.base import Store, read_json
from scaling.data import describe_data
from scaling.run import SPEC, end, read_journal
from sweeps.estimate.calibration import Throughput, calibrated

MOST_RUNS = 200  # newest runs to look at: reading journals must not take longer than calibrating
SHORTEST = 0.5  # seconds; a shorter run is all start-up


def throughput(store: Store, specs: Iterable[RunSpec]) -> dict[str, Throughput]:
    """For each family of ``specs``: from its finished runs under ``store.root``, else measured."""
    by_family: dict[str, list[RunSpec]] = {}
    for spec in specs:
        by_family.setdefault(spec.family, []).append(spec)
    past = from_runs(store)
    return {
        family: past.get(family) or calibrated(store, members)
        for family, members in by_family.items()
    }


def work(spec: RunSpec, heldout: int, first_step: int = 0) -> int:
    """FLOPs of a run from ``first_step`` to its end, held-out evaluations included."""
    steps, cost = spec.num_steps, spec.cost
    passes = evaluated(spec.train, heldout, spec.units_per_step, first_step)
    return (
        cost.flops_train * (steps - first_step) * spec.units_per_step + cost.flops_forward * passes
    )


def heldout_size(data: str) -> int:
    """Held-out tokens (examples) of a data set, in all its sets; 0 if it is not here."""
    try:
        return describe_data(data).evaluated_size
    except FileNotFoundError:
        return 0


def from_runs(store: Store) -> dict[str, Throughput]:
    """The median rate of each family and size among the newest finished runs.

    Only runs on the newest one's kind of device count.
    """
    found: list[tuple[float, str, str, int, float]] = []
    folders = [folder for folder in (store.root / "runs").glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    heldout: dict[str, int] = {}
    for folder in folders[:MOST_RUNS]:
        events = read_journal(folder)
        last, plain = end(events), read_json(folder / SPEC)
        devices = [event["device"] for event in events if event["event"] == "start"]
        if last is None or last["status"] != "done" or plain is None or not devices:
            continue
        if (seconds := last.get("seconds") or 0.0) < SHORTEST:
            continue
        try:
            spec = RunSpec.from_dict(plain)
        except ValueError:  # a run of a later release says nothing about this one
            continue
        name = spec.data.data
        if name not in heldout:
            heldout[name] = heldout_size(name)
        # A run's seconds are those of all its steps, those on a shared trunk too; one that
        # stopped early has done fewer.
        done = spec.with_tokens(int(last.get("tokens") or spec.train.num_tokens))
        device = str(devices[-1]).partition(":")[0]
        rate = work(done, heldout[name]) / seconds
        found.append((last.get("time", 0.0), device, spec.family, spec.cost.flops_forward, rate))
    if not found:
        return {}
    device = max(found)[1]
    rates: dict[str, dict[int, list[float]]] = {}
    for _, on, family, size, rate in found:
        if on == device:
            rates.setdefault(family, {}).setdefault(size, []).append(rate)
    return {
        family: Throughput(
            points=tuple((size, median(of_size)) for size, of_size in sorted(sizes.items())),
            device=device,
            source=_said(sum(map(len, sizes.values())), family, store),
        )
        for family, sizes in rates.items()
    }


def _said(runs: int, family: str, store: Store) -> str:
    return f"{runs} finished {family} run{'s' if runs > 1 else ''} in {store.root}"
