"""The data of the sweeps on bias and variance: few images of Fashion-MNIST, at half its resolution.

    scaling data fetch fashion-mnist
    python benchmarks/bias_variance.py
    scaling submit benchmarks/bias_variance.yaml --on inline
    scaling submit benchmarks/regularisation.yaml --on inline
    scaling diagnose bias-variance --where "data == 'fashion-500'" --human 7% -o parts.png
    scaling efficiency bias-variance --by data --metric error --target 23%

A set of n images is the first n of a fixed order, so smaller ones are parts of larger ones; all
hold out the same 4,000 images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from scaling.cli import main as scaling
from scaling.data import open_data

SIZES = (500, 2000, 8000)
HELD_OUT = 4000


def halved(images: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    n, channels, height, width = images.shape
    blocks = images.reshape(n, channels, height // 2, 2, width // 2, 2)
    return blocks.mean(axis=(3, 5)).round().astype(np.uint8)


def main() -> None:
    data = open_data("fashion-mnist")
    order = np.random.default_rng(0).permutation(len(data.train_labels))
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "few.npz"
            np.savez(
                path,
                train_inputs=halved(data.train_inputs[order[:size]])[:, 0],
                train_labels=data.train_labels[order[:size]],
                test_inputs=halved(data.heldout_inputs[:HELD_OUT])[:, 0],
                test_labels=data.heldout_labels[:HELD_OUT],
            )
            scaling(["data", "prepare", f"fashion-{size}", "--from", str(path)])


if __name__ == "__main__":
    main()
