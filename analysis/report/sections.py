"""The sections of the report, each a function of tables and fits that returns HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compute import IsoFlop
from analysis.plotting import data_label, used
from analysis.report.html import Cell, card, formula_html, inline, number, table_html
from analysis.wording import count, counts, scientific, share, span
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.compute import Allocation, Approach, Bias
    from analysis.fits import Fit

Held = Sequence[Mapping[str, Any]]
_CAPTIONS = {
    "predictions": "Held-out runs: prediction and interval, from what was measured.",
    "isoflop": "Loss against parameters at equal compute; a star marks the best size of a budget.",
    "residuals": "What the law leaves unexplained. A slope here is a law that does not fit.",
    "plan": "Best size, best amount of data and expected loss at each budget, with intervals; "
    "right of the dotted line nothing has been measured.",
}
_WHOLE = ("residuals", "plan", "predictions")


def run_label(row: Mapping[str, Any]) -> str:
    """``N = 2.1M, D = 8.4M``, or the run's name where it has no sizes."""
    sizes = [
        f"{letter} = {count(float(row[name]))}"
        for letter, name in (("N", "num_params"), ("D", "num_tokens"))
        if row.get(name)
    ]
    return ", ".join(sizes) or str(row.get("name") or row.get("run_id") or "run")


def subject(runs: pd.DataFrame) -> str:
    """How many runs over which ranges."""
    table = used(runs)
    words = [f"{len(table)} runs"]
    for name, what in (("num_params", "parameters"), ("num_tokens", data_label(runs))):
        if name in table.columns and table[name].notna().any():
            words.append(f"{count(table[name].min())} to {count(table[name].max())} {what}")
    if "flops" in table.columns and table["flops"].notna().any():
        words.append(
            f"{scientific(table['flops'].min())} to {scientific(table['flops'].max())} FLOPs each"
        )
    return ", ".join(words) + "."


def tiles(
    runs: pd.DataFrame, fit: Fit | None, holdout: Held, plan: Sequence[Allocation] | None
) -> str:
    """The numbers to know first."""
    number_used = len(used(runs)) if fit is None else fit.n_runs
    tiles = [(f"{number_used} of {len(runs)}", "runs used")]
    if fit is not None:
        tiles.append((f"{fit.r2:.4f}", "R² of log loss" if fit.space == "log" else "R² of loss"))
        if fit.in_plane:
            try:
                a, b = fit.exponents()
                tiles.append((f"{a:.2f}, {b:.2f}", "a, b of N* ∝ Cᵃ, D* ∝ Cᵇ"))
            except NoAnswerError:
                tiles.append(("none", "best size: not identified"))
    if holdout:
        worst = max((row["relative_error"] for row in holdout), key=abs)
        tiles.append((share(worst), "largest error on held-out runs"))
    if plan:
        last = plan[-1]
        tiles.append((count(last.num_params), f"N* at {scientific(last.flops)} FLOPs"))
    return (
        "<div class='tiles'>"
        + "".join(
            f"<div class='card tile'><b>{escape(value)}</b><span>{escape(what)}</span></div>"
            for value, what in tiles
        )
        + "</div>"
    )


def law(fit: Fit, level: float, headline: bool) -> str:
    """A law: its formula, parameters with intervals, and how it was fitted."""
    percent = f"{100 * level:g} % interval"
    ci = fit.ci(level) if fit.draws is not None else {}
    rows: list[list[Cell]] = [
        [
            escape(p.name),
            number(fit.params[p.name]),
            escape(span(ci[p.name])) if p.name in ci else "",
            escape(p.unit),
            escape(p.means),
        ]
        for p in fit.law.parameters
    ]
    if fit.in_plane:
        try:
            both = fit.exponents_ci(level) if fit.draws is not None else {}
            for key, name, value, what in zip(
                "ab", fit.exponent_names, fit.exponents(), "ND", strict=True
            ):
                interval = escape(span(both[key])) if key in both else ""
                rows.append(
                    [name, number(value), interval, "", f"{what}* grows as C<sup>{name}</sup>"]
                )
        except NoAnswerError:
            pass  # said under "To be read with care"
    penalty = {"huber": f"Huber loss (δ = {fit.delta:g})", "lad": "least absolute deviation"}
    how = (
        f"{fit.n_runs} runs; {penalty.get(fit.loss_fn, fit.loss_fn)} on residuals in "
        f"{fit.space} space, objective {fit.objective:.6g}, R² {fit.r2:.5f}. {fit.law.source}."
    )
    if fit.draws is not None:
        how += f" Intervals: percentiles of {len(fit.draws)} bootstrap draws ({fit.resample})."
    heading = "The law" if headline else escape(f"Also: {fit.law.name}")
    return f"<h2>{heading}</h2>" + card(
        f"<div class='formula'>{formula_html(fit)}</div>"
        + table_html(("parameter", "value", percent, "unit", "meaning"), rows)
        + f"<p class='quiet'>{escape(how)}</p>"
    )


def held_out(holdout: Held, drawn: Mapping[str, Figure], level: float) -> str:
    """Held-out runs: prediction, interval, truth, error side by side."""
    rows: list[list[Cell]] = []
    for row in holdout:
        low, high = row["ci"]
        inside = low <= row["actual"] <= high
        word = "<span class='good'>inside</span>" if inside else "<span class='warn'>outside</span>"
        rows.append(
            [
                escape(run_label(row)),
                number(row["predicted"], ".4f"),
                escape(span((low, high), ".4f")),
                number(row["actual"], ".4f"),
                (share(row["relative_error"]), "number"),
                word,
            ]
        )
    header = ("run", "predicted", f"{100 * level:g} % interval", "measured", "error", "measured is")
    figure = inline(drawn["predictions"], "predictions") if "predictions" in drawn else ""
    return (
        "<h2>Held-out runs: prediction and truth</h2>"
        "<p class='quiet'>The fit that predicts these runs has not seen them.</p>"
        + card(table_html(header, rows) + f"<figure>{figure}</figure>")
    )


def next_runs(plan: Sequence[Allocation], runs: pd.DataFrame, level: float) -> str:
    """The best size and data at each budget."""
    percent = f"{100 * level:g} %"
    largest = float(used(runs)["flops"].max()) if "flops" in runs.columns else float("nan")
    rows: list[list[Cell]] = [
        [
            (scientific(a.flops), "number"),
            (f"{a.flops / largest:,.0f} ×" if np.isfinite(largest) else "", "number"),
            (count(a.num_params), "number"),
            counts(a.num_params_ci),
            (count(a.num_tokens), "number"),
            counts(a.num_tokens_ci),
            number(a.loss, ".4f"),
            span(a.loss_ci, ".4f"),
            counts(a.num_params_range),
        ]
        for a in plan
    ]
    header = ("compute C", "of the largest run", "N*", percent, "D*", percent, "loss", percent,
              "N within 0.1 % of the best loss")  # fmt: skip
    words = sorted({a.status for a in plan} - {"ok"})
    return (
        "<h2>What to train next</h2>"
        "<p class='quiet'>The size and data of lowest expected loss at each budget. Intervals are "
        "of the law's parameters; they do not cover a law that bends beyond the data.</p>"
        + card(table_html(header, rows))
        + (f"<p class='quiet'>{escape('; '.join(words))}</p>" if words else "")
    )


def no_plan(trouble: str) -> str:
    """Why there is no plan; empty if there is nothing to say."""
    if not trouble:
        return ""
    return f"<h2>What to train next</h2><p class='warn'>No plan: {escape(trouble)}.</p>"


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


def gallery(drawn: Mapping[str, Figure], captions: Mapping[str, str]) -> str:
    """The figures with their captions."""
    shown = [name for name in drawn if name != "predictions"]
    if not shown:
        return ""
    blocks = [
        f"<figure class='card{' whole' if name in _WHOLE else ''}'>{inline(drawn[name], name)}"
        f"<figcaption>{escape(captions.get(name, name))}</figcaption></figure>"
        for name in sorted(shown, key=lambda name: (name in _WHOLE, shown.index(name)))
    ]
    return f"<h2>Figures</h2><div class='figures'>{''.join(blocks)}</div>"


def minima(found: IsoFlop, level: float) -> str:
    """The best size at each budget, with its status."""
    rows: list[list[Cell]] = [
        [
            (scientific(m.flops), "number"),
            (str(m.n_sizes), "number"),
            (count(m.num_params), "number"),
            counts(m.ci(level)) if m.status == "ok" else "",
            (count(m.num_tokens), "number"),
            number(m.loss, ".4f"),
            m.status if m.status == "ok" else f"<span class='warn'>{escape(m.status)}</span>",
        ]
        for m in found.minima
    ]
    ci = found.ci(level)
    words = ", ".join(
        f"{name} = {value:.3f} ({span(ci[name], '.3f')})"
        for name, value in (("a", found.a), ("b", found.b))
    )
    header = ("compute C", "sizes", "N*", f"{100 * level:g} %", "D*", "loss", "status")
    return (
        "<h2>Iso-FLOP minima</h2>"
        + card(table_html(header, rows))
        + f"<p class='quiet'>N* ∝ C<sup>a</sup>, D* ∝ C<sup>b</sup> with {escape(words)}; "
        f"{found.method}.</p>"
    )


def approaches(found: Sequence[Approach], bias: Bias | None, level: float) -> str:
    """a and b by each approach, and what the parabola's bias would cost."""
    percent = f"{100 * level:g} %"
    rows: list[list[Cell]] = [
        [
            escape(f"{x.name}: {x.method}"),
            number(x.a, ".3f"),
            escape(span(x.a_ci, ".3f")),
            number(x.b, ".3f"),
            escape(span(x.b_ci, ".3f")),
            (x.status if x.status == "ok" else f"<span class='warn'>{escape(x.status)}</span>",
             "wide"),
        ]
        for x in found
    ]  # fmt: skip
    words = ""
    if bias is not None:
        words = (
            f"On these sizes Approach 2 would find a = {bias.a:.3f} if the law with "
            f"a = {bias.a_law:.3f} were true; at {bias.flops[-1] / bias.flops[0]:,.0f} times the "
            f"largest compute it would choose {bias.num_params_ratio[-1]:.2g} N* and waste "
            f"{100 * bias.misallocated[-1]:.2g} % of the budget."
        )
    header = ("approach", "a", percent, "b", percent, "status")
    return (
        "<h2>Three approaches</h2>"
        "<p class='quiet'>N* ∝ C<sup>a</sup> and D* ∝ C<sup>b</sup> as Hoffmann et al. 2022, "
        "section 3, estimate them. Points of a learning curve before its end are not final "
        "losses; minima of parabolas lean to one side where the law is not symmetric.</p>"
        + card(table_html(header, rows))
        + (f"<p class='quiet'>{escape(words)}</p>" if words else "")
    )


def care(runs: pd.DataFrame, fits: Sequence[Fit]) -> str:
    """Diagnostics and notes in words."""
    lines: list[str] = []
    for fit in fits:
        lines += [f"{fit.law.name}: {line}" for line in fit.diagnostics.get("warnings", [])]
        found = fit.diagnostics
        if {"starts", "agree", "condition", "gradient_norm"} <= set(found):
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
    lines += [str(line) for line in runs.attrs.get("notes", [])]
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>To be read with care</h2>{card(f'<ul class=plain>{items}</ul>')}"


def excluded(runs: pd.DataFrame, fits: Sequence[Fit]) -> str:
    """Each run that was not used, and why."""
    rows: list[list[Cell]] = []
    if fits:
        for line in fits[0].excluded:
            record = runs.iloc[line["row"]].to_dict() if line["row"] < len(runs) else {}
            label = str(record.get("name") or line.get("run_id") or f"row {line['row']}")
            rows.append(
                [escape(label), escape(run_label(record)), (escape(line["reason"]), "wide")]
            )
    if not rows:
        return "<h2>Left out</h2><p>Nothing: every run was used.</p>"
    return f"<h2>Left out</h2>{card(table_html(('run', 'sizes', 'why'), rows))}"


def run_table(runs: pd.DataFrame) -> str:
    """Every run."""
    columns: list[tuple[str, str, Any]] = [
        ("run_id", "run", lambda v: f"<code>{escape(str(v)[:8])}</code>"),
        ("name", "name", lambda v: escape(str(v))),
        ("num_params", "N", lambda v: (count(float(v)), "number")),
        ("num_tokens", "D", lambda v: (count(float(v)), "number")),
        ("flops", "C", lambda v: (scientific(float(v)), "number")),
        ("loss", "loss", lambda v: number(float(v), ".4f")),
        ("bits_per_byte", "bits/byte", lambda v: number(float(v), ".4f")),
        ("seed", "seed", lambda v: number(float(v), ".0f")),
        ("seconds", "seconds", lambda v: number(float(v), ".1f")),
        ("status", "status", lambda v: escape(str(v))),
    ]
    shown = [c for c in columns if c[0] in runs.columns and runs[c[0]].notna().any()]
    by = [name for name in ("num_params", "num_tokens") if name in runs.columns]
    order = runs.sort_values(by) if by else runs
    rows: list[list[Cell]] = [
        [cell(value) for (_, _, cell), value in zip(shown, record, strict=True)]
        for record in order[[name for name, _, _ in shown]].itertuples(index=False, name=None)
    ]
    body = table_html([title for _, title, _ in shown], rows)
    return (
        f"<h2>The run table</h2><details><summary>{len(runs)} runs</summary>"
        f"<div class='card tall'>{body}</div></details>"
    )
