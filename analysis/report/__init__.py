"""One self-contained HTML page of what a set of runs says; no network, no scripts."""

from __future__ import annotations

from analysis.report.findings import Findings
from analysis.report.page import figures, write_report

__all__ = ["Findings", "figures", "write_report"]
