"""What lies beyond the runs: averages of laws, backtests, their scores."""

from __future__ import annotations

from analysis.forecasts.backtest import Backtest, backtest
from analysis.forecasts.blend import forecast, forecast_of, out_of_sample
from analysis.forecasts.chain import Chain, chain
from analysis.forecasts.field import Field, fields
from analysis.forecasts.forecast import Forecast
from analysis.forecasts.holdout import predict_held_out
from analysis.forecasts.hopeless import Hopeless, hopeless
from analysis.forecasts.show import missed

__all__ = [
    "Backtest",
    "Chain",
    "Field",
    "Forecast",
    "Hopeless",
    "backtest",
    "chain",
    "fields",
    "forecast",
    "forecast_of",
    "hopeless",
    "missed",
    "out_of_sample",
    "predict_held_out",
]
