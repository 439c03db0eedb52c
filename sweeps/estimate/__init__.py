"""What a sweep will take: hours, cost, energy, disk."""

from __future__ import annotations

from sweeps.estimate.disk import KeptWeights, kept_weights
from sweeps.estimate.estimate import Estimate, estimate, spent_flops
from sweeps.estimate.prices import Prices

__all__ = ["Estimate", "KeptWeights", "Prices", "estimate", "kept_weights", "spent_flops"]
