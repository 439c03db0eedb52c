"""What each section of the report says, as plain values that the templates set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from analysis.fits import IDENTIFIED
from analysis.forecasts import missed
from analysis.plotting import data_label, run_ids, used
from analysis.report.findings import Held
from analysis.report.pictures import legend, still, typeset
from analysis.report.table import Cell, Row, Table, number, right, short
from analysis.wording import across, count, counts, cut, scientific, share, span
from scaling import COLUMNS
from scaling.base import NoAnswerError, pfs_days

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compute import Allocation, Approach, Bias, IsoFlop
    from analysis.fits import Fit
    from analysis.plotting import Picture


_CAPTIONS = {
    "predictions": "Held-out runs: prediction and interval, from what was measured.",
    "curves": "Loss against what was seen, a line each run.",
    "compute": "Loss against training compute.",
    "isoflop": "Loss against parameters at equal compute; a star marks the best size of a budget, "
    "a bar where the true one may lie.",
    "search": "The best so far against what the search has cost, a line a strategy.",
    "residuals": "What the law leaves unexplained. A slope here is a law that does not fit.",
    "plan": "Best size, best amount of data and expected loss at each budget, with intervals; "
    "right of the dotted line nothing has been measured.",
}
_WHOLE = ("residuals", "plan", "predictions")


@dataclass(frozen=True)
class Law:
    """A law's section: its formula set, its parameters, and how it was fitted."""

    heading: str
    formula: Markup
    table: Table
    how: str


@dataclass(frozen=True)
class Told:
    """A table and the sentence below it."""

    table: Table
    words: str


@dataclass(frozen=True)
class Shown:
    """A figure of the page: its name and panels, its caption, and whether it takes a whole row."""

    name: str
    stills: Sequence[Markup]
    legend: Sequence[tuple[str, str, str]]
    caption: str
    whole: bool


def run_label(row: Mapping[str, Any]) -> str:
    """``N = 2.1M, D = 8.4M``, or the run's name where it has no sizes."""
    sizes = [
        f"{letter} = {count(float(row[name]))}"
        for letter, name in (("N", "num_params"), ("D", "num_tokens"))
        if row.get(name)
    ]
    return cut(", ".join(sizes) or str(row.get("name") or row.get("run_id") or "run"))


def subject(runs: pd.DataFrame) -> str:
    """How many runs over which ranges."""
    table = used(runs)
    words = [f"{len(table)} runs"]
    for name, what in (("num_params", "parameters"), ("num_tokens", data_label(runs))):
        if name in table.columns and table[name].notna().any():
            words.append(f"{across(table[name])} {what}")
    if "flops" in table.columns and table["flops"].notna().any():
        words.append(
            f"{across(table['flops'], scientific)} FLOPs each, "
            f"together {scientific(table['flops'].sum())} "
            f"({count(pfs_days(table['flops'].sum()))} petaflop/s-days)"
        )
    return ", ".join(words) + "."


def tiles(
    runs: pd.DataFrame,
    fit: Fit | None,
    holdout: Held,
    plan: Sequence[Allocation] | None,
    level: float,
) -> list[tuple[str, str]]:
    """The numbers to know first, each with what it is."""
    percent = f"{100 * level:g} %"
    number_used = len(used(runs)) if fit is None else fit.n_runs
    tiles = [(f"{number_used} of {len(runs)}", "runs used")]
    if fit is not None:
        tiles.append((f"{fit.r2:.4f}", "R² of log loss" if fit.space == "log" else "R² of loss"))
        if not fit.identified:
            tiles.append(("with care", fit.status))
        if fit.in_plane:
            try:
                a, b = fit.exponents()
                between = ""
                if fit.draws is not None:
                    between = f"; {percent} of a: {span(fit.exponents_ci(level)['a'], '.2f')}"
                tiles.append((f"{a:.2f}, {b:.2f}", f"a, b of N* ∝ Cᵃ, D* ∝ Cᵇ{between}"))
            except NoAnswerError:
                tiles.append(("none", "best size: not identified"))
    if holdout:
        worst = max((row["relative_error"] for row in holdout), key=abs)
        tiles.append((share(worst), "largest error on held-out runs"))
    if plan:
        last = plan[-1]
        between = f"{percent}: {counts(last.num_params_ci)}"
        tiles.append((count(last.num_params), f"N* at {scientific(last.flops)} FLOPs; {between}"))
    return tiles


def law(fit: Fit, level: float, headline: bool, tests: Sequence[Mapping[str, Any]] = ()) -> Law:
    """A law: its formula, parameters with intervals, how it was fitted, and how ``tests`` went."""
    percent = f"{100 * level:g} % interval"
    ci = fit.ci(level) if fit.draws is not None else {}
    rows: list[Row] = [
        [
            p.name,
            number(fit.params[p.name]),
            span(ci[p.name]) if p.name in ci else "",
            p.unit,
            p.means,
        ]
        for p in fit.law.parameters
    ]
    if fit.in_plane:
        try:
            both = fit.exponents_ci(level) if fit.draws is not None else {}
            for key, name, value, what in zip(
                "ab", fit.exponent_names, fit.exponents(), "ND", strict=True
            ):
                interval = span(both[key]) if key in both else ""
                means = Cell(f"{what}* grows as C", raised=name)
                rows.append([name, number(value), interval, "", means])
        except NoAnswerError:
            pass  # said under "To be read with care"
    penalty = {"huber": f"Huber loss (δ = {fit.delta:g})", "lad": "least absolute deviation"}
    how = (
        f"{fit.n_runs} runs; {penalty.get(fit.loss_fn, fit.loss_fn)} on residuals in "
        f"{fit.space} space, objective {fit.objective:.6g}, R² {fit.r2:.5f}. {fit.law.source}."
    )
    if fit.draws is not None:
        how += (
            f" The parameters' intervals: percentiles of {len(fit.draws)} bootstrap draws "
            f"({fit.resample}); they are of the law as it stands, not of what lies beyond the runs."
        )
    how += f" Status: {fit.status}."
    if tests:
        how += f" Fitted below {len(tests)} cut-offs it missed the runs next above by "
        how += f"{missed(tests)}."
    heading = "The law" if headline else f"Also: {fit.law.name}"
    table = Table(("parameter", "value", percent, "unit", "meaning"), rows)
    return Law(heading, typeset(fit), table, how)


def held_out(holdout: Held, level: float) -> Table:
    """Held-out runs: prediction, interval, truth, error side by side."""
    rows: list[Row] = []
    for row in holdout:
        low, high = row["ci"]
        inside = low <= row["actual"] <= high
        rows.append(
            [
                run_label(row),
                number(row["predicted"], ".4f"),
                span((low, high), ".4f"),
                number(row["actual"], ".4f"),
                right(share(row["relative_error"])),
                Cell("inside", tone="good") if inside else Cell("outside", tone="warn"),
            ]
        )
    header = ("run", "predicted", f"{100 * level:g} % interval", "measured", "error", "measured is")
    return Table(header, rows)


def next_runs(plan: Sequence[Allocation], runs: pd.DataFrame, level: float) -> Told:
    """The best size and data at each budget, and what to be careful of."""
    percent = f"{100 * level:g} %"
    largest = float(used(runs)["flops"].max()) if "flops" in runs.columns else float("nan")
    rows: list[Row] = [
        [
            right(scientific(a.flops)),
            right(f"{a.flops / largest:,.0f} ×" if np.isfinite(largest) else ""),
            right(count(a.num_params)),
            counts(a.num_params_ci),
            right(count(a.num_tokens)),
            counts(a.num_tokens_ci),
            number(a.loss, ".4f"),
            span(a.loss_ci, ".4f"),
            counts(a.num_params_range),
        ]
        for a in plan
    ]
    header = ("compute C", "of the largest run", "N*", percent, "D*", percent, "loss", percent,
              "N within 0.1 % of the best loss")  # fmt: skip
    return Told(Table(header, rows), "; ".join(sorted({a.status for a in plan} - {"ok"})))


def captions(fit: Fit | None, curves: bool) -> dict[str, str]:
    """What each figure shows, given the law and whether there are learning curves."""
    plane = fit is not None and fit.in_plane
    frontier = "Loss against training compute. " + ("Thin lines are learning curves. " * curves)
    found = {**_CAPTIONS, "frontier": frontier + "Points are final losses, "}
    found["frontier"] += (
        "the dashed line is the lowest loss that the law expects at each budget."
        if plane
        else "the line joins the lowest losses measured."
    )
    if fit is not None:
        found["scaling"] = (
            "Loss against parameters; each line is the fitted law at one amount of data."
            if plane
            else f"{fit.y_col.capitalize()} against {', '.join(fit.x_cols)}; the line is the law."
        )
    return found


def gallery(drawn: Mapping[str, Picture], captions: Mapping[str, str]) -> list[Shown]:
    """The figures with their captions, those of the whole width last."""
    shown = [name for name in drawn if name != "predictions"]
    return [
        show(name, drawn[name], captions.get(name, name))
        for name in sorted(shown, key=lambda name: (name in _WHOLE, shown.index(name)))
    ]


def show(name: str, picture: Picture, caption: str) -> Shown:
    """A figure of the page: each panel still, and the legend of what has several panels."""
    several = len(picture.panels) > 1
    return Shown(
        name, still(picture, name), legend(picture) if several else (), caption, name in _WHOLE
    )


def minima(found: IsoFlop, level: float) -> Told:
    """The best size at each budget that has one, why others have none; the exponents."""
    rows: list[Row] = [
        [
            right(scientific(m.flops)),
            right(str(m.n_sizes)),
            right(count(m.num_params)),
            counts(m.ci(level)),
            right(count(m.num_tokens)),
            number(m.loss, ".4f"),
        ]
        for m in found.minima
        if m.status == "ok"
    ]
    ci = found.ci(level)
    words = [] if found.status == "ok" else [found.status]
    if np.isfinite(found.a):
        words += [
            f"{name} = {value:.3f} ({span(ci[name], '.3f') or 'interval not known'})"
            for name, value in (("a", found.a), ("b", found.b))
        ]
    said = f"{', '.join(words)}; {found.method}."
    if without := Counter(m.status for m in found.minima if m.status != "ok"):
        why = "; ".join(f"{number} {status}" for status, number in without.most_common())
        said += f" {without.total()} of {len(found.minima)} budgets have no minimum: {why}."
    header = ("compute C", "sizes", "N*", f"{100 * level:g} %", "D*", "loss")
    return Told(Table(header, rows), said)


def _tone(status: str) -> str:
    return "" if status in ("ok", IDENTIFIED) else "warn"


def approaches(found: Sequence[Approach], bias: Bias | None, level: float) -> Told:
    """a and b by each approach, and what the parabola's bias would cost."""
    percent = f"{100 * level:g} %"
    rows: list[Row] = [
        [
            f"{x.name}: {x.method}",
            number(x.a, ".3f"),
            span(x.a_ci, ".3f"),
            number(x.b, ".3f"),
            span(x.b_ci, ".3f"),
            Cell(x.status, "wide", _tone(x.status)),
        ]
        for x in found
    ]
    words = ""
    if bias is not None:
        words = (
            f"On these sizes Approach 2 would find a = {bias.a:.3f} if the law with "
            f"a = {bias.a_law:.3f} were true; at {bias.flops[-1] / bias.flops[0]:,.0f} times the "
            f"largest compute it would choose {bias.num_params_ratio[-1]:.2g} N* and waste "
            f"{100 * bias.misallocated[-1]:.2g} % of the budget."
        )
    return Told(Table(("approach", "a", percent, "b", percent, "status"), rows), words)


def care(runs: pd.DataFrame, fits: Sequence[Fit]) -> list[str]:
    """Diagnostics and notes in words."""
    lines: list[str] = []
    for fit in fits:
        lines += [f"{fit.law.name}: {line}" for line in fit.diagnostics.get("warnings", [])]
        found = fit.diagnostics
        if found.get("together"):
            lines.append(f"{fit.law.name}: {found['together']}")
        if found.get("failed_draws"):
            lines.append(f"{fit.law.name}: {found['failed_draws']} draws failed and are left out")
        if found.get("agree") is not None:  # None: no random starts
            lines.append(
                f"{fit.law.name}: {100 * found['agree']:.0f} % of {found['starts']} starts end at "
                f"the same optimum; relative gradient {found['gradient_norm']:.1g} there; "
                f"condition number {found['condition']:.2g}."
            )
        if fit.in_plane:
            try:
                fit.exponents()
            except NoAnswerError as error:
                lines.append(f"{fit.law.name}: {error}")
    return [*lines, *(str(line) for line in runs.attrs.get("notes", []))]


def excluded(runs: pd.DataFrame, fits: Sequence[Fit]) -> Table:
    """Each run that the headline law did not use, and why; without a law, that could not be."""
    left = list(fits[0].excluded) if fits else []
    if not fits and "exclude_reason" in runs.columns:
        reasons = enumerate(runs["exclude_reason"])
        left = [{"row": row, "reason": str(reason)} for row, reason in reasons if reason]
    rows: list[Row] = []
    for line in left:
        record = runs.iloc[line["row"]].to_dict() if line["row"] < len(runs) else {}
        label = str(record.get("name") or line.get("run_id") or f"row {line['row']}")
        rows.append([short(label), run_label(record), Cell(line["reason"], "wide")])
    return Table(("run", "sizes", "why"), rows)


def run_table(runs: pd.DataFrame) -> Table:
    """Every run, with what differs among them beyond the usual columns: options, metrics."""
    columns: list[tuple[str, str, Any]] = [
        ("run_id", "run", lambda v: Cell(str(v)[:8], tone="code")),
        ("name", "name", lambda v: short(str(v))),
        ("num_params", "N", lambda v: right(count(float(v)), float(v))),
        ("num_tokens", "D", lambda v: right(count(float(v)), float(v))),
        ("flops", "C", lambda v: right(scientific(float(v)), float(v))),
        ("loss", "loss", lambda v: number(float(v), ".4f")),
        ("perplexity", "perplexity", lambda v: number(float(v), ".2f")),
        ("bits_per_byte", "bits/byte", lambda v: number(float(v), ".4f")),
        ("seed", "seed", lambda v: number(float(v), ".0f")),
        ("seconds", "seconds", lambda v: number(float(v), ".1f")),
        ("status", "status", lambda v: short(str(v))),
    ]
    own = [name for name in runs.columns if name not in COLUMNS and runs[name].nunique() > 1]
    columns += [(name, name, _plainly) for name in own]
    shown = [c for c in columns if c[0] in runs.columns and runs[c[0]].notna().any()]
    by = [name for name in ("num_params", "num_tokens") if name in runs.columns]
    order = runs.sort_values(by) if by else runs
    rows: list[Row] = [
        [cell(value) for (_, _, cell), value in zip(shown, record, strict=True)]
        for record in order[[name for name, _, _ in shown]].itertuples(index=False, name=None)
    ]
    return Table([title for _, title, _ in shown], rows, run_ids(order))


def _plainly(value: Any) -> Cell | str:
    """A value of a column that is not ours; empty where there is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(float(value))
    return "" if value is None else short(str(value))
