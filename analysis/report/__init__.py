"""One self-contained HTML page of what a set of runs says; it asks no network.

Its figures are those of :mod:`analysis.plotting`, still, and drawn anew by uPlot where scripts run.
"""

from __future__ import annotations

from analysis.report.figures import figures
from analysis.report.findings import Findings
from analysis.report.headline import headline, weaknesses
from analysis.report.page import part, values, write_report
from analysis.report.pictures import embedded, script_data, shades

__all__ = [
    "Findings",
    "embedded",
    "figures",
    "headline",
    "part",
    "script_data",
    "shades",
    "values",
    "weaknesses",
    "write_report",
]
