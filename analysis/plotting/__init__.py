"""Figures: each function takes tables and fits and returns a ``Picture``, the numbers to draw.

The surface of a search for coefficients is a value of its own, drawn when it is called.
"""

from __future__ import annotations

from analysis.plotting.allocation import isoflop, plan, predictions
from analysis.plotting.certainty import cloud, funnel, profile
from analysis.plotting.compound import CoefficientSurface, axes_at_equal_flops
from analysis.plotting.context import context
from analysis.plotting.curves import curves
from analysis.plotting.draw import COLUMNS, Look, draw, width_of
from analysis.plotting.edf import edf, parameters
from analysis.plotting.efficiency import efficiency, emissions
from analysis.plotting.export import as_json
from analysis.plotting.pareto import pareto
from analysis.plotting.parts import parts
from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading, log_x, loss_y
from analysis.plotting.runs import (
    compared,
    data_label,
    frontier,
    loss_label,
    residuals,
    run_ids,
    scaling,
    used,
)
from analysis.plotting.save import FORMATS, Drawable, save, save_all, svg
from analysis.plotting.searches import ranks, search
from analysis.plotting.settle import overlaps
from analysis.plotting.style import GRID, INK, MUTED, ON_BLACK, ON_WHITE, PAPER, SERIES, THEME
from analysis.plotting.wiring import Wiring, wiring
from analysis.plotting.zipf import Spread, zipf

__all__ = [
    "COLUMNS",
    "FORMATS",
    "GRID",
    "INK",
    "MUTED",
    "ON_BLACK",
    "ON_WHITE",
    "PAPER",
    "SERIES",
    "THEME",
    "Axis",
    "CoefficientSurface",
    "Drawable",
    "Layer",
    "Look",
    "Panel",
    "Picture",
    "Shading",
    "Spread",
    "Wiring",
    "as_json",
    "axes_at_equal_flops",
    "cloud",
    "compared",
    "context",
    "curves",
    "data_label",
    "draw",
    "edf",
    "efficiency",
    "emissions",
    "frontier",
    "funnel",
    "isoflop",
    "log_x",
    "loss_label",
    "loss_y",
    "overlaps",
    "parameters",
    "pareto",
    "parts",
    "plan",
    "predictions",
    "profile",
    "ranks",
    "residuals",
    "run_ids",
    "save",
    "save_all",
    "scaling",
    "search",
    "svg",
    "used",
    "width_of",
    "wiring",
    "zipf",
]
