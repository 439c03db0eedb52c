"""One self-contained HTML page of what a set of runs says; no network, no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis import plotting
from analysis.compute import Approach, IsoFlop, compare, cost_of, method_bias
from analysis.compute import plan as make_plan
from analysis.plotting import used
from analysis.report import sections
from analysis.report.sections import Held
from scaling.base import NoAnswerError, write_atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.compute import Allocation
    from analysis.fits import Fit

__all__ = ["figures", "write_report"]


def figures(
    runs: pd.DataFrame,
    *,
    curves: pd.DataFrame | None = None,
    fit: Fit | None = None,
    holdout: Held = (),
    isoflop: IsoFlop | None = None,
) -> dict[str, Figure]:
    """The figures of a report by name, as many as the runs and the fit allow.

    Parameters
    ----------
    runs : DataFrame
        The run table that was fitted.
    curves : DataFrame, optional
        Learning curves.
    fit : Fit, optional
        The headline law.
    holdout : sequence of mapping
        What :func:`analysis.forecasts.holdout.predict_held_out` gives.
    isoflop : IsoFlop, optional
        Minima by budget.
    """
    import pandas as pd

    held = pd.DataFrame(list(holdout)).rename(columns={"actual": "loss"}) if holdout else None
    found: dict[str, Figure] = {}
    plane = {"num_params", "num_tokens", "flops"} <= set(runs.columns)
    if holdout:
        found["predictions"] = plotting.predictions(
            [sections.run_label(row) for row in holdout],
            [row["predicted"] for row in holdout],
            [tuple(row["ci"]) for row in holdout],
            [row["actual"] for row in holdout],
        )
    law = fit if fit is not None and fit.in_plane else None
    if plane:
        found["frontier"] = plotting.frontier(runs, curves, law, held)
    if fit is not None:
        found["scaling"] = plotting.scaling(runs, fit, held)
        found["residuals"] = plotting.residuals(runs, fit, held)
    if isoflop is not None:
        found["isoflop"] = plotting.isoflop(runs, isoflop)
    if law is not None and plane:
        largest = float(used(runs)["flops"].max())
        budgets = np.geomspace(float(used(runs)["flops"].min()), 1000 * largest, 25)
        try:
            allocations = make_plan(law, list(budgets), cost=cost_of(runs))
            found["plan"] = plotting.plan(allocations, runs)
        except NoAnswerError:
            pass  # the page says so where the plan would be
    return found


def write_report(
    path: Path,
    runs: pd.DataFrame,
    *,
    fits: Sequence[Fit] = (),
    curves: pd.DataFrame | None = None,
    holdout: Held = (),
    plan: Sequence[Allocation] | None = None,
    isoflop: IsoFlop | None = None,
    drawn: Mapping[str, Figure] | None = None,
    level: float = 0.9,
    title: str = "Scaling laws",
    how_to_run: str = "",
) -> Path:
    """Write the report to ``path`` and return it.

    Parameters
    ----------
    path : Path
        An ``.html`` file; its folder is made.
    runs : DataFrame
        The run table, excluded rows too.
    fits : sequence of Fit
        The first is the headline.
    curves, holdout, isoflop
        As for :func:`figures`.
    plan : sequence of Allocation, optional
        Left out: 10, 100 and 1000 times the largest compute, if the headline law allows.
    drawn : mapping, optional
        Figures to show; left out: :func:`figures`.
    level : float
        Coverage of the intervals.
    title, how_to_run : str
        The heading, and the commands that make the report again.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is written as .html")
    fit = fits[0] if fits else None
    if drawn is None:
        drawn = figures(runs, curves=curves, fit=fit, holdout=holdout, isoflop=isoflop)
    trouble = ""
    if plan is None and fit is not None and fit.in_plane and "flops" in runs.columns:
        budgets = [float(used(runs)["flops"].max()) * k for k in (10.0, 100.0, 1000.0)]
        try:
            plan = make_plan(fit, budgets, cost=cost_of(runs), level=level)
        except NoAnswerError as error:
            trouble = str(error)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='lead'>{escape(sections.subject(runs))}</p>",
        sections.tiles(runs, fit, holdout, plan),
        *(sections.law(one, level, headline=one is fit) for one in fits),
        sections.held_out(holdout, drawn, level) if holdout else "",
        sections.next_runs(plan, runs, level) if plan else sections.no_plan(trouble),
        sections.gallery(drawn, sections.captions(fit, curves is not None and len(curves) > 0)),
        sections.minima(isoflop, level) if isoflop is not None else "",
        _approaches(runs, curves, isoflop, fit, level),
        sections.care(runs, fits),
        sections.excluded(runs, fits),
        sections.run_table(runs),
        f"<h2>Run it again</h2><pre>{escape(how_to_run)}</pre>" if how_to_run else "",
        "<footer>N: parameters. D: training tokens or examples. C: training FLOPs, "
        "1 MAC = 2 FLOPs. Loss in nats. Made by scaling-lab.</footer>",
    ]
    style = (files("analysis.report") / "report.css").read_text(encoding="utf-8")
    page = (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    write_atomic(path, page)
    return path


def _approaches(
    runs: pd.DataFrame,
    curves: pd.DataFrame | None,
    isoflop: IsoFlop | None,
    fit: Fit | None,
    level: float,
) -> str:
    """The approaches side by side, if at least two have an answer, and what the second costs."""
    if fit is None or not fit.in_plane or "flops" not in runs.columns:
        return ""
    found: list[Approach] = compare(runs, curves=curves, isoflop=isoflop, fit=fit, level=level)
    if sum(np.isfinite(approach.a) for approach in found) < 2:
        return ""
    bias = None
    if isoflop is not None:
        with suppress(ValueError, NoAnswerError):  # the table stands without it
            bias = method_bias(used(runs), fit, isoflop.method)
    return sections.approaches(found, bias, level)
