"""How a command line names sweeps and runs."""

from __future__ import annotations

import argparse

RUN = "a run's id, its beginning, or its name"


def add_sweep(parser: argparse.ArgumentParser, *, root: bool = True) -> None:
    """The argument that names a sweep, and where it is."""
    parser.add_argument("sweep", metavar="SWEEP", help="a submitted sweep's name, folder or file")
    if root:
        parser.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")


def sweep_name(sweep: str) -> str:
    """A sweep's name from its name, its folder or its file."""
    from pathlib import Path

    from scaling.run import find_sweep_file
    from sweeps import load_sweep

    path = Path(sweep)
    if path.is_file():
        return load_sweep(path).name
    found = find_sweep_file(path)
    return path.resolve().name if found and found.parent == path else sweep
