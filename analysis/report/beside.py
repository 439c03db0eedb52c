"""Several sweeps side by side: a column each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.plotting import data_label, used
from analysis.report.findings import Findings
from analysis.report.table import Cell, Row, Table
from analysis.wording import across, count, counts, cut, scientific, span


def beside(several: Sequence[Findings]) -> Table:
    """What is known of each sweep, a row a fact."""
    header = ["", *(cut(found.name or str(i)) for i, found in enumerate(several, 1))]
    rows: list[Row] = []
    for name, told in _FACTS.items():
        cells = [told(found) for found in several]
        if any(cells):
            rows.append([name, *(Cell(text, "wide") for text in cells)])
    return Table(header, rows)


def _runs(found: Findings) -> str:
    return f"{len(used(found.runs))} of {len(found.runs)}"


def _range(column: str) -> Callable[[Findings], str]:
    def told(found: Findings) -> str:
        table = used(found.runs)
        if column not in table.columns or not table[column].notna().any():
            return ""
        if column == "flops":
            return across(table[column], scientific)
        unit = f" {data_label(found.runs)}" if column == "num_tokens" else ""
        return across(table[column]) + unit

    return told


def _best(found: Findings) -> str:
    table = used(found.runs)
    if "loss" not in table.columns or not table["loss"].notna().any():
        return ""
    return f"{table['loss'].min():.4g}"


def _law(found: Findings) -> str:
    fit = found.headline
    return found.no_law if fit is None else fit.formula()


def _near(found: Findings) -> str:
    fit = found.headline
    if fit is None or fit.space != "log":
        return ""
    return f"{100 * float(np.sqrt(np.mean(fit.residuals**2))):.2g} %"


def _status(found: Findings) -> str:
    return found.headline.status if found.headline is not None else ""


def _next(which: str) -> Callable[[Findings], str]:
    def told(found: Findings) -> str:
        plan, _ = found.next
        if not plan:
            return ""
        value, interval = getattr(plan[0], which), getattr(plan[0], f"{which}_ci")
        if which == "loss":
            return f"{value:.4g} ({span(interval) or 'interval not known'})"
        return f"{count(value)} ({counts(interval) or 'interval not known'})"

    return told


_FACTS: dict[str, Callable[[Findings], str]] = {
    "runs used": _runs,
    "parameters": _range("num_params"),
    "data": _range("num_tokens"),
    "FLOPs of a run": _range("flops"),
    "lowest loss": _best,
    "law": _law,
    "typical distance from it": _near,
    "status": _status,
    "parameters to train next, at 10 times the largest compute": _next("num_params"),
    "data for it": _next("num_tokens"),
    "loss to expect": _next("loss"),
}
