"""The forecast that a command asks for: by a fitted law, or by several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.commands.loading import fit_of
from analysis.commands.options import ForecastOptions
from analysis.fits import Estimand
from analysis.forecasts import Forecast, forecast, forecast_of
from analysis.tables import structure
from scaling.base import note

if TYPE_CHECKING:
    import pandas as pd


def forecast_for(table: pd.DataFrame, asked: ForecastOptions) -> Forecast:
    """The forecast that was asked for; what it rests on goes to stderr."""
    if asked.bootstrap:
        note("--bootstrap draws a law's parameters (scaling fit); a forecast has draws of its own")
    if asked.is_auto:
        weighed = Estimand(weights=asked.weights)
        found = forecast(table, x_col=asked.x_col, estimand=weighed, seed=asked.seed)
        note(f"forecast by {found.name}; a law by itself: --law NAME")
    else:
        fitted = fit_of(table, replace(asked, bootstrap=0))
        found = forecast_of(fitted, table)
    if found.doubt:
        note(f"forecast: {found.doubt}")
    together = structure(table)
    if together.kind != "runs":
        note(together.says)
    return found
