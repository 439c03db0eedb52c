"""Figures for a paper: each function takes tables and fits and returns a matplotlib ``Figure``."""

from __future__ import annotations

from analysis.plotting.allocation import isoflop, plan, predictions
from analysis.plotting.certainty import cloud, funnel, profile
from analysis.plotting.compound import axes_at_equal_flops, coefficient_surface
from analysis.plotting.curves import curves
from analysis.plotting.edf import edf, parameters
from analysis.plotting.pareto import pareto
from analysis.plotting.runs import compared, data_label, frontier, residuals, scaling, used
from analysis.plotting.style import FORMATS, GRID, INK, MUTED, PAPER, save, save_all, svg
from analysis.plotting.zipf import Spread, zipf

__all__ = [
    "FORMATS",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "Spread",
    "axes_at_equal_flops",
    "cloud",
    "coefficient_surface",
    "compared",
    "curves",
    "data_label",
    "edf",
    "frontier",
    "funnel",
    "isoflop",
    "parameters",
    "pareto",
    "plan",
    "predictions",
    "profile",
    "residuals",
    "save",
    "save_all",
    "scaling",
    "svg",
    "used",
    "zipf",
]
