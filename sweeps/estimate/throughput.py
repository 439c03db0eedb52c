"""How fast one worker is on models of a family: by timed steps and past runs, or by these alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from scaling import ProgramSpec, RunSpec, Spec, evaluated, read_spec
from scaling.base import Store, read_json
from scaling.data import describe_data
from scaling.run import SPEC, end, read_journal
from sweeps.estimate.calibration import StepTimes, Throughput, calibrated, local_device

MOST_RUNS = 200  # newest runs to look at: reading journals must not take longer than calibrating
SHORTEST = 0.5  # seconds; less says nothing of a rate


def kind_of(spec: Spec) -> str:
    """Those that a run is as fast as: a program that counts by a family is not the family."""
    named = isinstance(spec, ProgramSpec) and spec.family != ProgramSpec.name
    return f"program {spec.family}" if named else spec.family


def size_of(spec: Spec) -> float:
    """FLOPs of a forward pass per token (example); for a program a third of a training step's."""
    return spec.cost.flops_train / 3 if isinstance(spec, ProgramSpec) else spec.cost.flops_forward


def throughput(
    store: Store, specs: Iterable[Spec], asked: Iterable[tuple[str, int]] = ()
) -> dict[str, Throughput | StepTimes | None]:
    """For each kind of ``specs``: by timed steps, times what its finished runs took over them.

    By the runs alone where these are of another kind of device than is here, and for programs,
    None without any: only a program itself can say how fast it is. So are n-grams, which have no
    steps to time. ``asked`` is for each spec what its resources say of compiling, and its GPUs.
    """
    by_kind: dict[str, list[tuple[Spec, tuple[str, int]]]] = {}
    listed = list(specs)
    for spec, how in zip(listed, list(asked) or [("auto", 1)] * len(listed), strict=True):
        by_kind.setdefault(kind_of(spec), []).append((spec, how))
    runs = finished_runs(store)
    past = rates(store, runs)
    found: dict[str, Throughput | StepTimes | None] = {}
    for kind, members in by_kind.items():
        timed = [(s, how) for s, how in members if isinstance(s, RunSpec) and not s.is_counted]
        ours = [spec for spec, _ in timed]
        device = past[kind].device if kind in past else None
        if not ours or (device and device != (local_device(store) or device)):
            found[kind] = past.get(kind)
            continue
        times = calibrated(store, ours, [how for _, how in timed])
        if device and device != times.device:
            found[kind] = past[kind]
        else:
            found[kind] = _by_runs(times, [run for run in runs if kind_of(run.spec) == kind])
    return found


def _by_runs(times: StepTimes, runs: Sequence[Finished]) -> StepTimes:
    """Prices times what runs took over them, all runs together: the longer say more."""
    pairs = [
        (
            run.seconds,
            times.seconds(run.done, run.heldout, run.first_step, compiled=run.compiled),
        )
        for run in runs
        if isinstance(run.done, RunSpec) and run.device == times.device
    ]
    if not pairs:
        return times
    took, priced = (sum(column) for column in zip(*pairs, strict=True))
    many = f"{len(pairs)} finished run{'s' if len(pairs) > 1 else ''}"
    source = f"{times.source}, times {took / priced:.2g} by {many}"
    return replace(times, factor=took / priced, source=source)


def work(spec: Spec, heldout: int, first_step: int = 0) -> float:
    """FLOPs of a run from ``first_step`` to its end, evaluations of ours included."""
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


@dataclass(frozen=True)
class Finished:
    """A run that is done: when, on what, what of it was trained, and how long that took.

    Of a run of ours from the first point of its curve on: before it torch starts, which is most of
    a run of a second.
    """

    time: float
    device: str
    spec: Spec
    done: Spec
    heldout: int
    first_step: int
    seconds: float
    compiled: bool = False


def finished_runs(store: Store) -> list[Finished]:
    """The newest finished runs, oldest first; those of ensembles say nothing of a run alone."""
    found: list[Finished] = []
    folders = [folder for folder in (store.root / "runs").glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    heldout: dict[str, int] = {}
    for folder in folders[:MOST_RUNS]:
        events = read_journal(folder)
        last, plain = end(events), read_json(folder / SPEC)
        begun = [event for event in events if event["event"] == "start"]
        devices = [event.get("device", "cpu") for event in begun]
        if last is None or last["status"] != "done" or plain is None or not devices:
            continue
        seconds = last.get("seconds") or 0.0
        if not seconds or last.get("ensemble"):
            continue
        try:
            spec = read_spec(plain)
        except ValueError:  # a run of a later release says nothing about this one
            continue
        name = spec.data.data if isinstance(spec, RunSpec) else ""
        if name and name not in heldout:
            heldout[name] = heldout_size(name)
        # A run's seconds are those of all its steps, those on a shared trunk too; one that
        # stopped early has done fewer.
        done = spec.with_tokens(int(last.get("tokens") or spec.num_tokens))
        device = str(devices[-1]).partition(":")[0]
        first = next((event for event in events if event["event"] == "point"), {})
        first_step = 0
        if isinstance(spec, RunSpec) and 0 < first.get("step", 0) < done.num_tokens:
            first_step = first["step"] // done.units_per_step
            seconds -= first.get("seconds", 0.0)
        if seconds > 0:
            when, size = last.get("time", 0.0), heldout.get(name, 0)
            compiled = bool(begun[-1].get("compiled"))
            found.append(Finished(when, device, spec, done, size, first_step, seconds, compiled))
    return sorted(found, key=lambda run: (run.time, run.device))


def rates(store: Store, runs: Sequence[Finished]) -> dict[str, Throughput]:
    """The median rate of each kind and size among runs that are not too short to have one.

    Only runs on the newest one's kind of device count; each program's for itself, of ours all.
    """
    found = [run for run in runs if run.seconds >= SHORTEST]
    newest = {_machines(run.spec): run.device for run in found}
    by_kind: dict[str, dict[float, list[float]]] = {}
    for run in found:
        if run.device == newest[_machines(run.spec)]:
            of_kind = by_kind.setdefault(kind_of(run.spec), {})
            rate = work(run.done, run.heldout, run.first_step) / run.seconds
            of_kind.setdefault(size_of(run.spec), []).append(rate)
    devices_of = {kind_of(run.spec): newest[_machines(run.spec)] for run in found}
    return {
        kind: Throughput(
            points=tuple((size, median(of_size)) for size, of_size in sorted(sizes.items())),
            device=devices_of[kind],
            source=_said(sum(map(len, sizes.values())), kind, store),
        )
        for kind, sizes in by_kind.items()
    }


def _machines(spec: Spec) -> str:
    """Whose runs tell on what machines such a one will be."""
    return kind_of(spec) if isinstance(spec, ProgramSpec) else ""


def _said(runs: int, family: str, store: Store) -> str:
    return f"{runs} finished {family} run{'s' if runs > 1 else ''} in {store.root}"
