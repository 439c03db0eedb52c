"""Laws of downstream metrics, which a loss or compute foretells."""

from __future__ import annotations

from analysis.laws.downstream.polynomial import POLYNOMIAL2, POLYNOMIAL3, POLYNOMIAL5
from analysis.laws.downstream.sigmoid import SIGMOID

LAWS = (
    SIGMOID,
    POLYNOMIAL2,
    POLYNOMIAL3,
    POLYNOMIAL5,
)

__all__ = ["LAWS"]
