"""How many FLOPs a second one worker does on models of a family: from past runs, or measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from scaling import ProgramSpec, RunSpec, Spec, evaluated, read_spec
from scaling.base import Store, read_json
from scaling.data import describe_data
from scaling.run import SPEC, end, read_journal
from sweeps.estimate.calibration import Throughput, calibrated

MOST_RUNS = 200  # newest runs to look at: reading journals must not take longer than calibrating
SHORTEST = 0.5  # seconds past a run's first point, less of which says nothing
SHORTEST_WHOLE = 10.0  # seconds of a run of ours without one, so that its start hardly counts
FAR = 2.0  # times a size: within it a rate is taken to be the same


def kind_of(spec: Spec) -> str:
    """Those that a run is as fast as: a program that counts by a family is not the family."""
    named = isinstance(spec, ProgramSpec) and spec.family != ProgramSpec.name
    return f"program {spec.family}" if named else spec.family


def size_of(spec: Spec) -> float:
    """FLOPs of a forward pass per token (example); for a program a third of a training step's."""
    return spec.cost.flops_train / 3 if isinstance(spec, ProgramSpec) else spec.cost.flops_forward


def throughput(store: Store, specs: Iterable[Spec]) -> dict[str, Throughput | None]:
    """For each kind of ``specs``: from its finished runs under ``store.root``, else measured.

    None for a program without any: only it can say how fast it is.
    """
    by_kind: dict[str, list[Spec]] = {}
    for spec in specs:
        by_kind.setdefault(kind_of(spec), []).append(spec)
    past = from_runs(store)
    found: dict[str, Throughput | None] = {}
    for kind, members in by_kind.items():
        ours = [spec for spec in members if isinstance(spec, RunSpec)]
        sizes = [size_of(spec) for spec in ours]
        found[kind] = known = past.get(kind)
        if ours and (known is None or known.is_far_from(sizes, FAR)):
            measured = calibrated(store, ours)
            found[kind] = known.extended(measured, sizes) if known else measured
    return found


def work(spec: Spec, heldout: int, first_step: int = 0) -> float:
    """FLOPs of a run from ``first_step`` to its end, held-out evaluations of ours included."""
    steps, cost = spec.num_steps, spec.cost
    trained = cost.flops_train * (steps - first_step) * spec.units_per_step
    if isinstance(spec, ProgramSpec):
        return trained
    passes = evaluated(spec.train, heldout, spec.units_per_step, first_step)
    return trained + spec.cost.flops_forward * passes


def heldout_sizes(specs: Iterable[Spec]) -> list[int]:
    """Held-out tokens (examples) of each run's data; 0 for a program's, whose are its own."""
    names = [spec.data.data if isinstance(spec, RunSpec) else "" for spec in specs]
    known = {name: heldout_size(name) if name else 0 for name in set(names)}
    return [known[name] for name in names]


def heldout_size(data: str) -> int:
    """Held-out tokens (examples) of a data set, in all its sets; 0 if it is not here."""
    try:
        return describe_data(data).evaluated_size
    except FileNotFoundError:
        return 0


def from_runs(store: Store) -> dict[str, Throughput]:
    """The median rate of each kind and size among the newest finished runs.

    Only runs on the newest one's kind of device count; each program's for itself, of ours all.
    """
    found: list[tuple[float, str, Spec, float]] = []
    folders = [folder for folder in (store.root / "runs").glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    heldout: dict[str, int] = {}
    for folder in folders[:MOST_RUNS]:
        events = read_journal(folder)
        last, plain = end(events), read_json(folder / SPEC)
        devices = [event.get("device", "cpu") for event in events if event["event"] == "start"]
        if last is None or last["status"] != "done" or plain is None or not devices:
            continue
        try:
            spec = read_spec(plain)
        except ValueError:  # a run of a later release says nothing about this one
            continue
        name = spec.data.data if isinstance(spec, RunSpec) else ""
        if name and name not in heldout:
            heldout[name] = heldout_size(name)
        if rate := _rate(spec, events, last, heldout.get(name, 0)):
            device = str(devices[-1]).partition(":")[0]
            found.append((last.get("time", 0.0), device, spec, rate))
    found.sort(key=lambda run: run[:2])
    newest = {_machines(spec): device for _, device, spec, _ in found}
    rates: dict[str, dict[float, list[float]]] = {}
    for _, device, spec, rate in found:
        if device == newest[_machines(spec)]:
            of_kind = rates.setdefault(kind_of(spec), {})
            of_kind.setdefault(size_of(spec), []).append(rate)
    devices_of = {kind_of(spec): newest[_machines(spec)] for _, _, spec, _ in found}
    return {
        kind: Throughput(
            points=tuple((size, median(of_size)) for size, of_size in sorted(sizes.items())),
            device=devices_of[kind],
            source=_said(sum(map(len, sizes.values())), kind, store),
        )
        for kind, sizes in rates.items()
    }


def _rate(spec: Spec, events: list[dict[str, Any]], last: Mapping[str, Any], heldout: int) -> float:
    """FLOP/s of a finished run from the first point of its curve on; 0 if it was too short.

    Before that point torch starts, which is most of a run of a second. A run's seconds are those
    of all its steps, those on a shared trunk too; one that stopped early has done fewer.
    """
    done = spec.with_tokens(int(last.get("tokens") or spec.num_tokens))
    seconds = last.get("seconds") or 0.0
    first = next((event for event in events if event["event"] == "point"), {})
    if isinstance(spec, RunSpec) and 0 < first.get("step", 0) < done.num_tokens:
        began = first["step"] // done.units_per_step
        left = seconds - first.get("seconds", 0.0)
        return work(done, heldout, began) / left if left >= SHORTEST else 0.0
    least = SHORTEST_WHOLE if isinstance(spec, RunSpec) else SHORTEST
    return work(done, heldout) / seconds if seconds >= least else 0.0


def _machines(spec: Spec) -> str:
    """Whose runs tell on what machines such a one will be."""
    return kind_of(spec) if isinstance(spec, ProgramSpec) else ""


def _said(runs: int, family: str, store: Store) -> str:
    return f"{runs} finished {family} run{'s' if runs > 1 else ''} in {store.root}"
