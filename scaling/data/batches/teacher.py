"""Examples labelled by a random network: no file, any size, the irreducible error known.

The data set's name carries its options: ``teacher`` or, say,
``teacher:features=8,examples=20000,noise=0.1,seed=3``.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches.examples import ARRAYS, ExampleData, describe_examples
from scaling.data.batches.options import parse_options, with_options

STEPS = 64  # inputs and weights are whole multiples of 1/64


@dataclass(frozen=True)
class Teacher:
    """A network features -> hidden (ReLU) -> classes with standard normal weights.

    Parameters
    ----------
    features, hidden, classes : int
        Widths; at most 1,024, 4,096 and 1,000.
    examples, heldout : int
        Examples to train on and held out. The held-out ones do not depend on ``examples``.
    noise : float
        Probability that a label is drawn uniformly instead of by the network. The lowest
        possible error is then noise x (1 - 1/classes).
    seed : int
        Of weights, inputs and noise.

    Notes
    -----
    Student-teacher data as in Bahri et al. 2021 (Explaining neural scaling laws, section 2.2).
    Inputs and weights are rounded to multiples of 1/64, so that every sum is exact in float64
    and the labels are the same on every machine.
    """

    features: int = 16
    hidden: int = 64
    classes: int = 10
    examples: int = 50_000
    heldout: int = 10_000
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "features": (1, 1024),
            "hidden": (1, 4096),
            "classes": (2, 1000),
            "examples": (1, 10**8),
            "heldout": (1, 10**8),
            "noise": (0, 1),
            "seed": (0, 2**63),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"teacher: {name}={getattr(self, name)} must be between {low} and {high}"
                )


def generate(options: str) -> ExampleData:
    """The examples of the teacher with these options."""
    return _generate(parse_options("teacher", Teacher, options))


@lru_cache(maxsize=2)
def _generate(teacher: Teacher) -> ExampleData:
    weights = _random(teacher.seed, 0)
    first = _whole(weights.standard_normal((teacher.features, teacher.hidden)))
    second = _whole(weights.standard_normal((teacher.hidden, teacher.classes)))

    def scores(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(inputs @ first, 0) @ second

    arrays: dict[str, NDArray[Any]] = {}
    centre = None
    for stream, side, count in (
        (1, "heldout", teacher.heldout),
        (2, "train", teacher.examples),
    ):
        random = _random(teacher.seed, stream)
        inputs = _whole(random.standard_normal((count, teacher.features)))
        logits = scores(inputs)
        if centre is None:  # without it a few classes would get most of the labels
            centre = np.rint(logits.mean(axis=0))
        labels = (logits - centre).argmax(axis=1)
        noisy = random.random(count) < teacher.noise
        labels[noisy] = random.integers(0, teacher.classes, int(noisy.sum()))
        arrays[f"{side}_inputs"] = (inputs / STEPS).astype(np.float32)
        arrays[f"{side}_labels"] = labels.astype(np.int64)
    whole = hashlib.sha256(repr(sorted(asdict(teacher).items())).encode())
    for key in ARRAYS:
        arrays[key].flags.writeable = False
        whole.update(arrays[key].tobytes())
    info = describe_examples(with_options("teacher", teacher), arrays, whole.hexdigest()[:16])
    return ExampleData(info, **arrays)


def _random(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64((seed, stream)))


def _whole(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.rint(values * STEPS)
