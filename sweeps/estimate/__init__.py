"""What a sweep will take: hours, cost, energy."""

from __future__ import annotations

from sweeps.estimate.estimate import Estimate, estimate
from sweeps.estimate.prices import Prices

__all__ = ["Estimate", "Prices", "estimate"]
