"""What a sweep will take: hours, cost, energy, memory, disk."""

from __future__ import annotations

from sweeps.estimate.disk import KeptWeights, kept_weights
from sweeps.estimate.estimate import Estimate, estimate, spent_flops
from sweeps.estimate.needs import Needs, growth, memory_needed
from sweeps.estimate.prices import Prices

__all__ = [
    "Estimate",
    "KeptWeights",
    "Needs",
    "Prices",
    "estimate",
    "growth",
    "kept_weights",
    "memory_needed",
    "spent_flops",
]
