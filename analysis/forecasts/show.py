"""A ``Forecast`` as a short table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.base import Display, format_value

if TYPE_CHECKING:
    from analysis.forecasts.forecast import Forecast


def missed(tests: Sequence[Mapping[str, Any]]) -> str:
    """How far predictions missed in ``tests``: "0.2 to 0.6 %", or in the unit of the response."""
    scale, unit = (100.0, " %") if "rmse_log" in tests[0] else (1.0, "")
    errors = [scale * float(test.get("rmse_log", test.get("rmse"))) for test in tests]
    low, high = f"{min(errors):.2g}", f"{max(errors):.2g}"
    return f"{low} to {high}{unit}" if low != high else f"{low}{unit}"


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
    tests = forecast.backtests
    if tests:
        notes.append(f"{len(tests)} backtests inside the runs missed by {missed(tests)}")
    return Display(title, ("law", "weight", "parameters"), rows, notes)
