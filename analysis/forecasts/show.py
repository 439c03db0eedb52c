"""A ``Forecast`` as a short table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.base import Display, format_value

if TYPE_CHECKING:
    from analysis.forecasts.forecast import Forecast


def display(forecast: Forecast) -> Display:
    """The laws with weights and parameters; noise, and how far the inner backtests missed."""
    rows = [
        (
            law.name,
            f"{weight:.3f}",
            ", ".join(
                f"{name} = {format_value(value)}"
                for name, value in zip(law.names, params, strict=True)
            ),
        )
        for law, weight, params in zip(
            forecast.laws, forecast.weights, forecast.average.params, strict=True
        )
    ]
    what = f"the mean of {len(rows)} laws" if len(rows) > 1 else rows[0][0]
    title = f"Forecast of {forecast.y_col} from {', '.join(forecast.x_cols)} by {what}"
    notes = [f"{forecast.n_runs} runs; noise {100 * forecast.noise:.2g} % of {forecast.y_col}"]
    missed = [100 * float(test["rmse_log"]) for test in forecast.backtests]
    if missed:
        notes.append(
            f"{len(missed)} backtests inside the runs missed by {min(missed):.2g} to "
            f"{max(missed):.2g} %"
        )
    return Display(title, ("law", "weight", "parameters"), rows, notes)
