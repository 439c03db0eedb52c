"""Effective compute: what it takes to reach a fixed loss, how that fell, and what it emits."""

from __future__ import annotations

from analysis.efficiency.emissions import Emissions, emissions
from analysis.efficiency.reach import Reached, compute_to_reach, decimal_years, envelope, published
from analysis.efficiency.trend import Trend, trend

__all__ = [
    "Emissions",
    "Reached",
    "Trend",
    "compute_to_reach",
    "decimal_years",
    "emissions",
    "envelope",
    "published",
    "trend",
]
