"""The memory that a sweep's runs need on a CPU, beside what they are given."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scaling import RunSpec, Spec
from scaling.base import Store
from sweeps.estimate.calibration import local_device
from sweeps.estimate.memory import Memory, weighed, weighed_before
from sweeps.resources import ResourceRules, Resources
from sweeps.sweep import Sweep


@dataclass(frozen=True)
class Needs:
    """What each run of a sweep takes of a machine's memory on a CPU.

    Attributes
    ----------
    bytes : tuple of float or None
        Of the process that trains each run, with the others of its ensemble, and with a checkpoint
        under way; None where it is not known: of programs, n-grams, and families whose models are
        all too large to try.
    measured : str
        Where the numbers come from.
    warnings : tuple of str
        What does not fit into the memory that it is given.
    """

    bytes: tuple[float | None, ...]
    measured: str
    warnings: tuple[str, ...]

    @property
    def most(self) -> float | None:
        """Of the run that takes most; None where not all are known."""
        known = [one for one in self.bytes if one is not None]
        return max(known) if known and len(known) == len(self.bytes) else None

    def to_dict(self) -> dict[str, Any]:
        """Those of the run that takes most, and where they come from."""
        return {"bytes": self.most, "measured": self.measured}


def memory_needed(
    sweep: Sweep, root: Any = None, *, workers: int = 1, installed: float | None = None
) -> Needs | None:
    """The memory that runs take on this machine's CPU; None where its steps were not timed.

    Parameters
    ----------
    sweep : Sweep
    root : path, optional
        The store that keeps what was measured.
    workers : int
        Runs at a time on this machine.
    installed : float, optional
        Bytes of this machine's memory; asked of the system by default.
    """
    store = Store.at(root)
    if local_device(store) != "cpu":
        return None
    by_family: dict[str, list[RunSpec]] = defaultdict(list)
    for entry in sweep:
        if isinstance(entry.spec, RunSpec) and not entry.spec.is_counted:
            by_family[entry.spec.family].append(entry.spec)
    prices = {family: weighed(store, specs) for family, specs in by_family.items()}
    rules = ResourceRules.parse(sweep.resources)
    members = _members([spec for specs in by_family.values() for spec in specs], rules)
    found: list[float | None] = []
    short = []
    for entry in sweep:
        spec = entry.spec
        memory = prices.get(spec.family)
        if memory is None or not isinstance(spec, RunSpec) or spec.is_counted:
            found.append(None)
            continue
        given = rules.of(spec.cost.num_params)
        in_one = members.get(spec.run_id, 1)
        needed = memory.bytes(spec, given.micro_batch if in_one == 1 else 0, in_one)
        found.append(needed)
        room, together = _room(given, workers, installed)
        if given.processes == 1 and needed * together > room:
            short.append((needed * together / room, spec, memory, given))
    sources = sorted({memory.source for memory in prices.values() if memory is not None})
    told = (_told(short, workers, installed),) if short else ()
    return Needs(tuple(found), "; ".join(sources), told)


def _members(specs: Sequence[RunSpec], rules: ResourceRules) -> dict[str, int]:
    """How many runs train in one process with each, at most, by ``run_id``."""
    most = {spec.run_id: rules.of(spec.cost.num_params).ensemble for spec in specs}
    asked = [spec for spec in specs if most[spec.run_id] > 1]
    if not asked:
        return {}
    from scaling.training import ensemble_key, most_members

    keys = {spec.run_id: ensemble_key(spec) for spec in asked}
    alike = Counter(keys.values())
    return {
        spec.run_id: min(most[spec.run_id], alike[key], most_members(spec, "cpu"))
        for spec in asked
        if (key := keys[spec.run_id]) is not None
    }


def growth(store: Store, specs: Sequence[Spec], first: str, later: Iterable[str]) -> float:
    """How many times a run's memory the largest of later ones takes on a CPU; at least 1.

    By the prices that a preview weighed; 1 where it has weighed none.

    Parameters
    ----------
    specs : sequence of Spec
        Of all the sweep's runs, in order.
    first, later : str, iterable of str
        Their ``run_id``.
    """
    alike = [spec for spec in specs if isinstance(spec, RunSpec) and not spec.is_counted]
    measured = next((spec for spec in alike if spec.run_id == first), None)
    if measured is None:
        return 1.0
    alike = [spec for spec in alike if spec.family == measured.family]
    memory = weighed_before(store, alike)
    if memory is None:
        return 1.0
    ids = {first, *later}
    largest = max(memory.bytes(spec) for spec in alike if spec.run_id in ids)
    return largest / memory.bytes(measured)


def _room(given: Resources, workers: int, installed: float | None) -> tuple[float, int]:
    """Bytes that a run and those beside it have together, and how many these are."""
    if given.memory:
        return given.memory_mb * 2**20, max(1, given.side_by_side)
    if installed is None:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return installed, workers


def _told(
    short: Sequence[tuple[float, RunSpec, Memory, Resources]], workers: int, installed: float | None
) -> str:
    """What to do about the run that needs most in proportion to what it has."""
    share, spec, memory, given = max(short, key=lambda one: one[0])
    room, together = _room(given, workers, installed)
    need = share * room
    runs = "1 run needs" if len(short) == 1 else f"{len(short)} runs need"
    beside = f" for {together} side by side" if together > 1 else ""
    whose = f"memory is {given.memory}" if given.memory else f"this machine has {_gb(room)}"
    remedies = ["raise memory" if given.memory else "use a larger machine"]
    if together > 1:
        remedies.insert(0, "set side_by_side: 1" if given.memory else "use fewer workers")
    rows = memory.most_rows(spec, room / together)
    fitting = [k for k in range(1, given.ensemble) if memory.bytes(spec, 0, k) * together <= room]
    if fitting:
        remedies.append(f"set ensemble: {fitting[-1]}")
    elif spec.cost.unit == "token" and 0 < rows < spec.train.batch_size:
        remedies.append(f"set micro_batch: {rows}")
    return f"{runs} more memory than there is: {_gb(need)}{beside}, {whose}: {_either(remedies)}"


def _gb(count: float) -> str:
    return f"{count / 1e9:.3g} GB"


def _either(ways: Sequence[str]) -> str:
    return " or ".join([", ".join(ways[:-1]), ways[-1]]) if len(ways) > 1 else ways[0]
