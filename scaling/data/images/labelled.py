"""Labelled examples from files: what a source offers, and which format the paths hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OPEN, TRAINING, HELD = range(3)  # the part of an example: not said, to train on, held out

Content = Path | bytes | NDArray[Any] | None  # encoded images, or arrays; None where it is missing


@dataclass(frozen=True)
class Index:
    """All examples of a source in the order in which it reads them.

    Attributes
    ----------
    digests : (n,) uint64
        64 bits of the sha256 of each content.
    labels : (n,) int64
    parts : (n,) uint8
        ``OPEN`` for all, or ``TRAINING`` or ``HELD`` for each.
    classes : tuple of str
        Names of the labels, where they have any.
    """

    digests: NDArray[np.uint64]
    labels: NDArray[np.int64]
    parts: NDArray[np.uint8]
    classes: tuple[str, ...] = ()


class LabelledSource(Protocol):
    """Files, and how labelled examples are read from them."""

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""

    def index(self) -> Index:
        """Digests, labels and parts, in an order that depends on content alone."""

    def read(self, position: int) -> Iterator[tuple[str, Content]]:
        """From example ``position`` on: what to call it in a message, and its content."""


def source_of(
    paths: tuple[Path, ...], *, image_column: str = "image", label_column: str = "label"
) -> LabelledSource:
    """The source that the paths hold, told by their endings.

    A folder is one of Parquet, NumPy or IDX files if it directly holds such files (or its
    subfolder ``data`` holds Parquet), else one of class folders.

    Raises
    ------
    ValueError
        If they hold nothing of the kind, or several kinds.
    """
    from scaling.data.images.arrays import ArrayFiles
    from scaling.data.images.image_folder import ImageFolder
    from scaling.data.images.image_parquet import ImageParquet

    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in (*path.iterdir(), *(path / "data").glob("*.parquet")))
        data = [p for p in inside if p.is_file() and _kind(p) != "other"]
        if not data and len(paths) == 1:
            return ImageFolder(path)
        if not data:
            raise ValueError(f"{path} is a folder of images: give it alone, without other paths")
        files += data
    kinds = {_kind(path) for path in files}
    if kinds == {"parquet"}:
        return ImageParquet(tuple(files), image_column, label_column)
    if kinds == {"array"}:
        return ArrayFiles(tuple(files))
    odd = next((path for path in files if _kind(path) == "other"), files[0])
    raise ValueError(
        f"{odd}: give a folder with a folder of images per class, or .npz, .npy, IDX "
        f"(*-ubyte, .gz) or .parquet files of one kind, not {len(files)} files of {len(kinds)}"
    )


def _kind(path: Path) -> str:
    if path.suffix == ".parquet":
        return "parquet"
    bare = path.name.removesuffix(".gz")
    if bare.endswith((".npy", ".npz", "ubyte", ".idx")) or ".idx" in bare or "-idx" in bare:
        return "array"
    return "other"


def digest(content: bytes | NDArray[Any]) -> int:
    """64 bits of the sha256 of a content: its identity for the order and the split."""
    raw = content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")


def whole_labels(name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as whole numbers from 0.

    Raises
    ------
    ValueError
        If they are not, or name more classes than there are examples.
    """
    if labels.dtype.kind not in "iub" and not (
        labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all())
    ):
        raise ValueError(f"{name} holds {labels.dtype}, not whole numbers from 0: convert it")
    whole = labels.astype(np.int64)
    if len(whole) and (whole.min() < 0 or whole.max() >= max(len(whole), 2)):
        raise ValueError(
            f"{name} goes from {whole.min()} to {whole.max()} over {len(whole)} examples: labels "
            "are numbers of classes, from 0; number them anew"
        )
    return whole
