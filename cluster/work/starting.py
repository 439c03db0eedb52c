"""A submission that is under way: nobody works on its sweep yet, and somebody soon will."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cluster.work.lease import claim, holder

_FOLDER = "starting"  # in a sweep's folder; its lease is the one who submits


@contextlib.contextmanager
def starting(sweep_dir: Path) -> Iterator[None]:
    """Say meanwhile that a submission of the sweep starts."""
    with claim(sweep_dir / _FOLDER) or contextlib.nullcontext():  # another one says it already
        yield


def is_starting(sweep_dir: Path) -> bool:
    """Whether a submission of the sweep starts at this moment."""
    return holder(sweep_dir / _FOLDER) is not None
