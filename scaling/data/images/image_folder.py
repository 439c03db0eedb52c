"""A folder of images with one folder per class, as ImageNet has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.base import note, progress
from scaling.data.images.labelled import HELD, OPEN, TRAINING, Content, Index, digest

ENDINGS = {f".{end}" for end in ("bmp", "gif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm")}
ENDINGS |= {".ppm", ".tif", ".tiff", ".webp"}
HELDOUT_NAMES = ("val", "valid", "validation", "test")  # the first that is there


class ImageFolder:
    """``root/CLASS/**/image`` or ``root/train/CLASS/...`` and ``root/val/CLASS/...``.

    Classes are numbered in the order of their names. Files that do not end as images do are
    left out, and said.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        folders = _folders(root)
        names = {folder.name for folder in folders}
        if "train" in names and names <= {"train", *HELDOUT_NAMES}:
            found = [name for name in HELDOUT_NAMES if name in names]
            if found[1:]:
                note(f"{root}: {found[0]} is held out; {', '.join(found[1:])} left out")
            sides = {TRAINING if found else OPEN: root / "train"}
            if found:
                sides[HELD] = root / found[0]
        else:
            sides = {OPEN: root}
        self.classes = tuple(folder.name for folder in _folders(min(sides.items())[1]))
        if len(self.classes) < 2:
            raise ValueError(
                f"{min(sides.items())[1]} has {len(self.classes)} folders; a set of images needs "
                "one for each of 2 classes or more, as in DIR/cat/1.jpg, DIR/dog/2.jpg"
            )
        rows = [row for side, folder in sides.items() for row in self._images(side, folder)]
        digests = _digests(root, [path for *_, path in rows])
        labels, parts = (np.array([row[i] for row in rows]) for i in (1, 0))
        order = np.lexsort((labels, digests, parts))
        self._digests = digests[order]
        self._rows = [rows[i] for i in order]

    def _images(self, side: int, root: Path) -> list[tuple[int, int, Path]]:
        """The images under ``root``: part, label, path."""
        rows: list[tuple[int, int, Path]] = []
        loose = [p for p in root.iterdir() if p.is_file() and p.suffix.lower() in ENDINGS]
        if loose:
            raise ValueError(
                f"{loose[0]} lies in no class's folder ({len(loose)} such): move or remove them"
            )
        others = 0
        for folder in _folders(root):
            if folder.name not in self.classes:
                raise ValueError(
                    f"{folder}: no class {folder.name!r} to train on; remove it, or add one"
                )
            label, before = self.classes.index(folder.name), len(rows)
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                if path.suffix.lower() in ENDINGS:
                    rows.append((side, label, path))
                else:
                    others += 1
            if len(rows) == before:
                raise ValueError(
                    f"{folder} has no images ({', '.join(sorted(ENDINGS))}): remove it, or fill it"
                )
        if others:
            note(f"{root}: {others} files that do not end as images do are left out")
        return rows

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "images"}

    def index(self) -> Index:
        """All images, those to train on first, in the order of their digests."""
        return Index(
            self._digests,
            np.array([label for _, label, _ in self._rows], np.int64),
            np.array([side for side, _, _ in self._rows], np.uint8),
            self.classes,
        )

    def read(self, position: int) -> Iterator[tuple[str, Content]]:
        """The paths, relative to the folder in messages."""
        for _, _, path in self._rows[position:]:
            yield str(path.relative_to(self.root)), path


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _digests(root: Path, paths: list[Path]) -> NDArray[np.uint64]:
    digests = np.empty(len(paths), np.uint64)
    with (
        progress(f"{root}: reading {len(paths)} images", len(paths)) as advance,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        for i, one in enumerate(pool.map(lambda path: digest(path.read_bytes()), paths)):
            digests[i] = one
            advance()
    return digests
