"""``fit(law, runs)`` and what stands behind its answer."""

from __future__ import annotations

from analysis.fits.bootstrap import Bootstrap
from analysis.fits.certificate import untold
from analysis.fits.checklist import Item, checklist
from analysis.fits.estimand import Estimand
from analysis.fits.fit import fit
from analysis.fits.problem import Problem
from analysis.fits.result import IDENTIFIED, Fit
from analysis.fits.rows import TooFewRowsError, observe
from analysis.fits.starts import best_starts

__all__ = [
    "IDENTIFIED",
    "Bootstrap",
    "Estimand",
    "Fit",
    "Item",
    "Problem",
    "TooFewRowsError",
    "best_starts",
    "checklist",
    "fit",
    "observe",
    "untold",
]
