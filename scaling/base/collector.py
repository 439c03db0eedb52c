"""Python's collector of cycles, which looks through all objects when there are many new ones."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let it rest while many objects are made that have no cycles; also a decorator.

    A sweep of 10,000 runs is some 100,000 of them, and to look through what torch and MLflow have
    for these takes longer than to read it.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
