"""scikit-learn's handwritten digits: 1,797 images of 8 x 8, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches import prepare_examples
from scaling.data.info import DataInfo

HELDOUT = 360


def prepare(name: str, home: Path) -> DataInfo:
    """Make the set; the 360 images with the lowest hash are held out."""
    return prepare_examples(name, home, _arrays, source="sklearn.datasets.load_digits")


def _arrays() -> dict[str, NDArray[Any]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    order = np.argsort([hashlib.sha256(image.tobytes()).digest()[:8] for image in images])
    heldout, train = order[:HELDOUT], order[HELDOUT:]
    return {
        "train_inputs": images[train],
        "train_labels": labels[train],
        "heldout_inputs": images[heldout],
        "heldout_labels": labels[heldout],
    }
