"""Figures for a paper: each function takes tables and fits and returns a matplotlib ``Figure``."""

from __future__ import annotations

from analysis.plotting.allocation import isoflop, plan, predictions
from analysis.plotting.runs import compared, frontier, residuals, scaling
from analysis.plotting.style import FORMATS, save, svg

__all__ = [
    "FORMATS",
    "compared",
    "frontier",
    "isoflop",
    "plan",
    "predictions",
    "residuals",
    "save",
    "scaling",
    "svg",
]
