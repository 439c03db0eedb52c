"""One sweep shape a file, and their registry; the design spaces that strategies search."""

from __future__ import annotations

from sweeps.kinds.base_model import base_model
from sweeps.kinds.design_space import Miss, compatible_options, read_ranges, read_space
from sweeps.kinds.registry import GENERATORS, generators
from sweeps.kinds.spaces import Parameter, Space

__all__ = [
    "GENERATORS",
    "Miss",
    "Parameter",
    "Space",
    "base_model",
    "compatible_options",
    "generators",
    "read_ranges",
    "read_space",
]
