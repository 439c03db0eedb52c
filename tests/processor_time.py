"""Processor time by test file: ``python -m pytest -p tests.processor_time tests/analysis``.

This process and its children that have ended, so a test's workers count, whatever else the machine
does meanwhile; jobs on SLURM are nobody's children and do not.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

SHOWN = 25
BEGAN = [0.0]
SPENT: Counter[str] = Counter()


def _spent() -> float:
    return sum(os.times()[:4])


def pytest_runtest_logstart():
    BEGAN[0] = _spent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    now = _spent()
    report.processor, BEGAN[0] = now - BEGAN[0], now  # which xdist hands over as it is
    return report


def pytest_runtest_logreport(report):
    SPENT[report.nodeid.partition("::")[0]] += getattr(report, "processor", 0.0)  # a crash has none


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(f"processor time: {SPENT.total():.0f} s")
    for name, seconds in SPENT.most_common(SHOWN):
        terminalreporter.write_line(f"{seconds:8.1f} s  {name}")
