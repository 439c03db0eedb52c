"""One self-contained HTML page of what a set of runs says; it asks no network.

Its figures are those of :mod:`analysis.plotting`, still, and drawn anew by uPlot where scripts run.
"""

from __future__ import annotations

from analysis.report.figures import figures, predictions
from analysis.report.findings import Findings
from analysis.report.headline import headline, weaknesses
from analysis.report.live import State, live_page, live_values
from analysis.report.page import values, write_report

__all__ = [
    "Findings",
    "State",
    "figures",
    "headline",
    "live_page",
    "live_values",
    "predictions",
    "values",
    "weaknesses",
    "write_report",
]
