"""What compute buys: plans, iso-FLOP minima, the next runs."""

from __future__ import annotations

from analysis.compute.allocation import Allocation, Plan
from analysis.compute.approach1 import curve_points, lower_envelope
from analysis.compute.approach2 import IsoFlop, NoExponentError, isoflop
from analysis.compute.approach2_bias import Bias
from analysis.compute.approach2_budgets import group_budgets, is_profile
from analysis.compute.approach2_methods import Method
from analysis.compute.approach2_minimum import Minimum
from analysis.compute.approaches import BEYOND, Approach, compare, crossings, method_bias
from analysis.compute.architectures import Architecture, architectures, family_cost, size_options
from analysis.compute.expected import AsFitted, Expected
from analysis.compute.frontier import efficient
from analysis.compute.mixture import Mixture, best_mixture
from analysis.compute.next_runs import BY_FORECAST, NextRuns, next_runs
from analysis.compute.next_sweep import settings, sweep_text
from analysis.compute.plan import Cost, check_law, cost_of, next_budgets, plan

__all__ = [
    "BEYOND",
    "BY_FORECAST",
    "Allocation",
    "Approach",
    "Architecture",
    "AsFitted",
    "Bias",
    "Cost",
    "Expected",
    "IsoFlop",
    "Method",
    "Minimum",
    "Mixture",
    "NextRuns",
    "NoExponentError",
    "Plan",
    "architectures",
    "best_mixture",
    "check_law",
    "compare",
    "cost_of",
    "crossings",
    "curve_points",
    "efficient",
    "family_cost",
    "group_budgets",
    "is_profile",
    "isoflop",
    "lower_envelope",
    "method_bias",
    "next_budgets",
    "next_runs",
    "plan",
    "settings",
    "size_options",
    "sweep_text",
]
