"""A data set of one's own: a function that returns examples with a fingerprint."""

from __future__ import annotations

import hashlib

import numpy as np

from scaling.data import DataInfo, ExampleData


def waves(noise: str = "0.1") -> ExampleData:
    """Sine waves with noise, labelled by their phase's quadrant; ``my_lab.data:waves:0.2``."""
    random = np.random.default_rng(0)
    count, size = 4096, 16
    phase = random.uniform(0, 4, count)
    time = np.linspace(0, 2 * np.pi, size)
    inputs = np.sin(time + phase[:, None] * np.pi / 2) + float(noise) * random.normal(
        size=(count, size)
    )
    inputs, labels = inputs.astype(np.float32), phase.astype(np.int64)
    content = hashlib.sha256(inputs.tobytes() + labels.tobytes()).hexdigest()[:16]
    info = DataInfo(
        name="waves",
        fingerprint=content,
        unit="example",
        train_size=3072,
        heldout_size=count - 3072,
        num_classes=4,
        input_shape=(size,),
        dtype="float32",
    )
    return ExampleData(info, inputs[:3072], labels[:3072], inputs[3072:], labels[3072:])
