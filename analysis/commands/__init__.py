"""One command a file, and what they share: what was asked for as values, loading, forecasts."""

from __future__ import annotations

from analysis.commands.kept import Kept, fit_options, keep
from analysis.commands.loading import fit_of
from analysis.commands.options import FitOptions, Source

__all__ = ["FitOptions", "Kept", "Source", "fit_of", "fit_options", "keep"]
