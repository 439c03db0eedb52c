"""Architectures compared: scaling axes, design spaces, Pareto frontiers."""

from __future__ import annotations

from analysis.designs.coefficients import (
    Coefficients,
    has_search,
    log_ratios,
    pick_coefficients,
    surface_at,
)
from analysis.designs.edf import SpaceReport, describe_spaces
from analysis.designs.pareto import HEADERS, Pareto, pareto, table_rows
from analysis.designs.ranks import RankCorrelation, Ranks, rank_correlations
from analysis.designs.scaling_axes import AxisComparison, compare_axes
from analysis.designs.searches import SearchCurve, Searches, compare_searches

__all__ = [
    "HEADERS",
    "AxisComparison",
    "Coefficients",
    "Pareto",
    "RankCorrelation",
    "Ranks",
    "SearchCurve",
    "Searches",
    "SpaceReport",
    "compare_axes",
    "compare_searches",
    "describe_spaces",
    "has_search",
    "log_ratios",
    "pareto",
    "pick_coefficients",
    "rank_correlations",
    "surface_at",
    "table_rows",
]
