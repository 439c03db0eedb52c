"""Texts with a label: 256 bytes of Python source, and which of six packages they are from."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches import prepare_examples
from scaling.data.info import DataInfo
from scaling.data.text.python_source import PACKAGES, python_files

CONTEXT = 256  # bytes
MOST = {"train": 8000, "heldout": 1000}  # windows of a package
HELDOUT = 0.15  # of the files


def prepare(name: str, home: Path) -> DataInfo:
    """Make the set: as many windows of each package, none of a file on both sides."""
    origin = {package: metadata.version(package) for package in PACKAGES}
    return prepare_examples(name, home, _arrays, **origin)


def _arrays() -> dict[str, NDArray[Any]]:
    sides: dict[str, list[NDArray[Any]]] = {key: [] for key in MOST}
    for package in PACKAGES:
        windows: dict[str, dict[bytes, bytes]] = {key: {} for key in MOST}
        for path in python_files([package]):
            content = path.read_bytes()
            first = hashlib.sha256(content).digest()[0]
            side = "heldout" if first < HELDOUT * 256 else "train"
            for start in range(0, len(content) - CONTEXT + 1, CONTEXT):
                window = content[start : start + CONTEXT]
                windows[side][hashlib.sha256(window).digest()] = window
        for side, distinct in windows.items():
            chosen = [distinct[key] for key in sorted(distinct)[: MOST[side]]]
            sides[side].append(np.frombuffer(b"".join(chosen), np.uint8).reshape(-1, CONTEXT))
    arrays: dict[str, NDArray[Any]] = {}
    for side, found in sides.items():
        fewest = min(map(len, found))
        # One of each in turn, so that any first part of the held-out ones is balanced.
        inputs = np.stack([windows[:fewest] for windows in found], axis=1)
        arrays[f"{side}_inputs"] = inputs.reshape(-1, CONTEXT)
        arrays[f"{side}_labels"] = np.tile(np.arange(len(PACKAGES)), fewest)
    return arrays
