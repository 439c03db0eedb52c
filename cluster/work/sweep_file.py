"""The file of a submitted sweep, which several may want to add to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.work.lease import claim
from scaling.base import Store
from scaling.run import sweep_path
from scaling.world import time
from sweeps import Sweep


@contextmanager
def rewriting(store: Store, name: str) -> Iterator[Sweep]:
    """The sweep as its file has it, empty where there is none, while nobody else writes it."""
    while (lease := claim(store.sweep_dir(name), "write")) is None:
        time.sleep(0.1)
    with lease:
        yield written(store, name)


def written(store: Store, name: str) -> Sweep:
    """The sweep as its file has it; empty where there is none."""
    path = sweep_path(store, name)
    return Sweep.read(path) if path.exists() else Sweep(name, ())
