"""Predictions of held-out runs beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from analysis.forecasts.forecast import Forecast


def predict_held_out(
    expected: Forecast, runs: pd.DataFrame, level: float = 0.9
) -> list[dict[str, Any]]:
    """One dict per run: ``predicted``, its ``ci`` as a new run, ``actual``, ``relative_error``.

    Parameters
    ----------
    expected : Forecast
        From runs that are not in ``runs``.
    runs : DataFrame
        The held-out rows; ``loss`` may be missing, then ``actual`` is NaN.
    level : float
        Coverage of ``ci``, an interval for a measured loss.

    Returns
    -------
    list of dict
        Also ``run_id``, ``name`` and the inputs, ``num_tokens``, ``flops`` where the
        table has them; ``relative_error`` is predicted / actual - 1.
    """
    predicted = expected.predict(runs)
    low, high = expected.predict_ci(runs, level=level)
    kept = ("run_id", "name", "num_params", "num_tokens", "flops", *expected.x_cols)
    names = [name for name in dict.fromkeys(kept) if name in runs.columns]
    rows = []
    for i, record in enumerate(runs.to_dict("records")):
        actual = float(record.get("loss", float("nan")))
        rows.append(
            {
                **{name: record[name] for name in names},
                "predicted": float(predicted[i]),
                "ci": [float(low[i]), float(high[i])],
                "actual": actual,
                "relative_error": float(predicted[i]) / actual - 1,
            }
        )
    return rows
