"""``fit(law, runs)`` and what stands behind its answer."""

from __future__ import annotations

from analysis.fits.checklist import Item, checklist
from analysis.fits.fit import fit
from analysis.fits.penalty import Penalty
from analysis.fits.problem import Problem
from analysis.fits.result import Fit
from analysis.fits.rows import observe
from analysis.fits.starts import best_starts

__all__ = ["Fit", "Item", "Penalty", "Problem", "best_starts", "checklist", "fit", "observe"]
