"""Tiny runs over all combinations of some options."""

from __future__ import annotations

import itertools
from typing import Any

from scaling.spec import RunSpec

TINY = {
    "data": "tiny",
    "depth": 1,
    "width": 8,
    "context": 32,
    "batch_size": 4,
    "num_tokens": 64 * 128,
    "lr": 0.01,
}
"""A run that takes under a second."""


def specs_over(**options: Any) -> list[RunSpec]:
    """:data:`TINY` with ``options``: one run for each combination of those that are lists."""
    axes = {key: value for key, value in options.items() if isinstance(value, list)}
    fixed = {key: value for key, value in options.items() if key not in axes}
    return [
        RunSpec.resolve(**{**TINY, **fixed, **dict(zip(axes, values, strict=True))})
        for values in itertools.product(*axes.values())
    ]
