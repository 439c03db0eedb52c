"""``Findings``: what a report is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from analysis.compute import cost_of, plan
from analysis.forecasts import forecast_of
from analysis.plotting import used
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compute import Allocation, IsoFlop
    from analysis.fits import Fit
    from analysis.forecasts import Forecast

Held = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Findings:
    """Runs and what was found in them, for :func:`write_report` and :func:`figures`.

    Attributes
    ----------
    runs : DataFrame
        The run table, excluded rows too.
    fits : sequence of Fit
        The first is the headline.
    curves : DataFrame, optional
        Learning curves.
    expected : Forecast, optional
        What is expected beyond the runs; left out: by the headline law.
    holdout : sequence of mapping
        What :func:`analysis.forecasts.predict_held_out` gives.
    plan : sequence of Allocation, optional
        Left out: 10, 100 and 1000 times the largest compute, if the forecast allows.
    isoflop : IsoFlop, optional
        Minima by budget.
    level : float
        Coverage of the intervals.
    name : str
        What tells it from others on one page.
    no_law : str
        Why there is no law, where one was to be fitted.
    """

    runs: pd.DataFrame
    fits: Sequence[Fit] = ()
    curves: pd.DataFrame | None = None
    expected: Forecast | None = None
    holdout: Held = ()
    plan: Sequence[Allocation] | None = None
    isoflop: IsoFlop | None = None
    level: float = 0.9
    name: str = ""
    no_law: str = ""

    @cached_property
    def beyond(self) -> Forecast | None:
        """What is expected beyond the runs, if they or the headline law tell."""
        if self.expected is None and self.headline is not None and self.headline.in_plane:
            return forecast_of(self.headline, self.runs)
        return self.expected

    @cached_property
    def next(self) -> tuple[Sequence[Allocation], str]:
        """The plan, and why there is none."""
        if self.plan is not None or self.beyond is None or "flops" not in self.runs.columns:
            return self.plan or (), ""
        budgets = [float(used(self.runs)["flops"].max()) * k for k in (10.0, 100.0, 1000.0)]
        try:
            return plan(self.beyond, budgets, cost=cost_of(self.runs), level=self.level), ""
        except (NoAnswerError, ValueError) as error:
            return (), str(error)

    @property
    def headline(self) -> Fit | None:
        """The law that the report is about."""
        return self.fits[0] if self.fits else None
