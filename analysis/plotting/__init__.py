"""Figures for a paper: each function takes tables and fits and returns a matplotlib ``Figure``."""

from __future__ import annotations

from analysis.plotting.allocation import isoflop, plan, predictions
from analysis.plotting.certainty import cloud, funnel, profile
from analysis.plotting.runs import compared, frontier, residuals, scaling
from analysis.plotting.style import FORMATS, save, svg

__all__ = [
    "FORMATS",
    "cloud",
    "compared",
    "frontier",
    "funnel",
    "isoflop",
    "plan",
    "predictions",
    "profile",
    "residuals",
    "save",
    "scaling",
    "svg",
]
