"""``write_report``: the page, and the figures on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from analysis import plotting
from analysis.compute import compare, cost_of, method_bias
from analysis.compute import plan as make_plan
from analysis.forecasts import out_of_sample
from analysis.plotting import used
from analysis.report import sections
from analysis.report.findings import Findings
from analysis.report.pictures import inline
from scaling.base import NoAnswerError, template, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(found: Findings) -> dict[str, Figure]:
    """The figures of a report by name, as many as the runs and the headline law allow."""
    runs, fit, holdout = found.runs, found.headline, found.holdout
    held = pd.DataFrame(list(holdout)).rename(columns={"actual": "loss"}) if holdout else None
    drawn: dict[str, Figure] = {}
    plane = {"num_params", "num_tokens", "flops"} <= set(runs.columns)
    if holdout:
        drawn["predictions"] = plotting.predictions(
            [sections.run_label(row) for row in holdout],
            [row["predicted"] for row in holdout],
            [tuple(row["ci"]) for row in holdout],
            [row["actual"] for row in holdout],
        )
    law = fit if fit is not None and fit.in_plane else None
    if plane:
        drawn["frontier"] = plotting.frontier(runs, found.curves, law, held)
    if fit is not None:
        drawn["scaling"] = plotting.scaling(runs, fit, held)
        drawn["residuals"] = plotting.residuals(runs, fit, held)
    if found.isoflop is not None:
        drawn["isoflop"] = plotting.isoflop(runs, found.isoflop)
    if found.beyond is not None and law is not None and plane:
        largest = float(used(runs)["flops"].max())
        budgets = np.geomspace(float(used(runs)["flops"].min()), 1000 * largest, 16)
        with suppress(NoAnswerError):  # the page says so where the plan would be
            allocations = make_plan(found.beyond, list(budgets), cost=cost_of(runs))
            drawn["plan"] = plotting.plan(allocations, runs)
    return drawn


def write_report(
    path: Path,
    found: Findings,
    *,
    drawn: Mapping[str, Figure] | None = None,
    title: str = "Scaling laws",
    how_to_run: str = "",
) -> Path:
    """Write the report to ``path`` and return it.

    Parameters
    ----------
    path : Path
        An ``.html`` file; its folder is made.
    found : Findings
    drawn : mapping, optional
        Figures to show; left out: :func:`figures`.
    title, how_to_run : str
        The heading, and the commands that make the report again.

    Raises
    ------
    ValueError
        If ``path`` has another suffix.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is written as .html")
    runs, fit, level = found.runs, found.headline, found.level
    drawn = figures(found) if drawn is None else drawn
    plan, trouble = found.plan, ""
    if plan is None and found.beyond is not None and "flops" in runs.columns:
        budgets = [float(used(runs)["flops"].max()) * k for k in (10.0, 100.0, 1000.0)]
        try:
            plan = make_plan(found.beyond, budgets, cost=cost_of(runs), level=level)
        except (NoAnswerError, ValueError) as error:
            trouble = str(error)
    curves = found.curves is not None and len(found.curves) > 0
    page = template("analysis.report", "report.html").render(
        title=title,
        style=Markup((files("analysis.report") / "templates/report.css").read_text("utf-8")),
        subject=sections.subject(runs),
        tiles=sections.tiles(runs, fit, found.holdout, plan, level),
        laws=[sections.law(one, level, one is fit, out_of_sample(one, runs)) for one in found.fits],
        held_out=sections.held_out(found.holdout, level) if found.holdout else None,
        predictions=inline(drawn["predictions"], "predictions") if "predictions" in drawn else "",
        plan=sections.next_runs(plan, runs, level) if plan else None,
        expected=found.beyond.says if found.beyond is not None else "",
        no_plan=trouble,
        gallery=sections.gallery(drawn, sections.captions(fit, curves)),
        minima=sections.minima(found.isoflop, level) if found.isoflop is not None else None,
        approaches=_approaches(found),
        care=sections.care(runs, found.fits),
        excluded=sections.excluded(runs, found.fits),
        run_table=sections.run_table(runs),
        how_to_run=how_to_run,
    )
    write_atomic(path, page)
    return path


def _approaches(found: Findings) -> sections.Told | None:
    """The approaches side by side, if at least two have an answer, and what the second costs."""
    runs, fit, minima = found.runs, found.headline, found.isoflop
    if fit is None or not fit.in_plane or "flops" not in runs.columns:
        return None
    both = compare(runs, curves=found.curves, isoflop=minima, fit=fit, level=found.level)
    if sum(np.isfinite(approach.a) for approach in both) < 2:
        return None
    bias = None
    if minima is not None:
        with suppress(ValueError, NoAnswerError):  # the table stands without it
            bias = method_bias(used(runs), fit, minima.method)
    return sections.approaches(both, bias, found.level)
