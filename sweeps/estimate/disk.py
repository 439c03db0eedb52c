"""What the weights that a sweep keeps take on disk."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import Any

from scaling import RunSpec, cooldown_start
from scaling.base import Store
from scaling.run import lacks_weights
from sweeps.sweep import Sweep

BYTES_PER_PARAM = 4  # float32; a file's header and a norm's statistics are not counted


@dataclass(frozen=True)
class KeptWeights:
    """The weights that a sweep keeps.

    Attributes
    ----------
    marks : tuple of str or int
        What the sweep file says.
    files, bytes : int
        When all runs are done; what runs share of a trunk is there once.
    free_bytes : int
        Free where runs are kept.
    too_late : int
        Runs that are done already and did not keep what is asked for.
    """

    marks: tuple[str | int, ...]
    files: int
    bytes: int
    free_bytes: int
    too_late: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def kept_weights(sweep: Sweep, root: Any = None) -> KeptWeights:
    """What a sweep's ``keep`` takes on disk in the store at ``root``."""
    sizes: dict[tuple[str, int], int] = {}
    ours = [(e.run_id, e.spec) for e in sweep if isinstance(e.spec, RunSpec)]
    for run_id, spec in ours:
        branch = cooldown_start(spec.schedule, spec.num_steps)
        for step in {*sweep.keep.steps(spec), spec.num_steps}:
            whose = spec.trunk_id if spec.trunk_id and step <= branch else run_id
            sizes[whose, step] = BYTES_PER_PARAM * spec.cost.num_params
    store = Store.at(root)
    existing = next(path for path in (store.root, *store.root.parents) if path.exists())
    return KeptWeights(
        marks=sweep.keep.marks,
        files=len(sizes),
        bytes=sum(sizes.values()),
        free_bytes=shutil.disk_usage(existing).free,
        too_late=sum(lacks_weights(store.run_dir(i), spec, sweep.keep) for i, spec in ours),
    )
