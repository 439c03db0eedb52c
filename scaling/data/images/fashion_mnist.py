"""Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images of 28 x 28 in ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches import prepare_examples
from scaling.data.images.arrays import read_idx
from scaling.data.info import DataInfo


def build(name: str, home: Path, files: tuple[Path, ...]) -> DataInfo:
    """Make the set from its four IDX files; the test images are held out."""

    def arrays() -> dict[str, NDArray[Any]]:
        found = {}
        for side, prefix in (("train", "train"), ("heldout", "t10k")):
            for key, kind in (("inputs", "images"), ("labels", "labels")):
                path = next((p for p in files if f"{prefix}-{kind}" in p.name), None)
                if path is None:
                    raise FileNotFoundError(f"{name}: no file {prefix}-{kind}-* among the four")
                found[f"{side}_{key}"] = read_idx(path)
        return {
            key: value[:, None] if key.endswith("inputs") else value.astype(np.int64)
            for key, value in found.items()
        }

    return prepare_examples(name, home, arrays)
