"""What the runs say: run tables, laws, fits with intervals, allocation and prediction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.collect import load_runs
    from analysis.fitting import Fit, fit
    from analysis.laws import LAWS, Law, callable_law, formula_law

__all__ = ["LAWS", "Fit", "Law", "callable_law", "fit", "formula_law", "load_runs"]

_HOMES = {
    "LAWS": "analysis.laws",
    "Law": "analysis.laws",
    "callable_law": "analysis.laws",
    "formula_law": "analysis.laws",
    "Fit": "analysis.fitting",
    "fit": "analysis.fitting",
    "load_runs": "analysis.collect",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
