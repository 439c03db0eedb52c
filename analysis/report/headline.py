"""What a report says first: a few sentences without a formula, and what is weak in the design."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from analysis.forecasts import missed, out_of_sample
from analysis.plotting import data_label, loss_label, used
from analysis.report.findings import Findings
from analysis.wording import across, count, counts, cut, span

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit

MANY_EPOCHS = 4.0  # up to there repeated data are nearly as good as new (Muennighoff et al. 2023)
NARROW = 8.0  # times from the least to the most of N or D, below which an exponent is uncertain
TOGETHER = 0.98  # correlation of log N and log D from which a law can hardly tell them apart


def headline(found: Findings) -> list[str]:
    """At most five sentences: what was learned, how sure, what to train next, the main caveat."""
    said = [_learned(found)]
    if found.headline is not None:
        said.append(_how_sure(found, found.headline))
    said += [*_next(found), _caveat(found)]
    return [line for line in said if line]


def _learned(found: Findings) -> str:
    runs, fit = used(found.runs), found.headline
    runs = runs[runs["loss"].notna()] if "loss" in runs.columns else runs.iloc[:0]
    if fit is None:
        if not len(runs):
            return f"None of {len(found.runs)} runs has a result yet."
        best = runs.sort_values("loss").iloc[0]
        label = str(best.get("name") or best.get("run_id") or f"row {best.name}")
        loss = f"{best['loss']:.4g}"
        return f"Of {len(runs)} runs with a result the best is {cut(label)}, with a loss of {loss}."
    off = 100 * float(np.sqrt(np.mean(fit.residuals**2)))
    near = f"the fitted law is typically within {off:.2g} %" if fit.space == "log" else ""
    begun = f"Across {fit.n_runs} runs"
    if fit.in_plane and "num_params" in runs.columns:
        sizes = f"{across(runs['num_params'])} parameters"
        words = f"{begun} of {sizes}, the loss falls as models and data grow"
    elif len(fit.x_cols) == 1:
        x = fit.inputs[0]
        ends = fit.law.predict(fit.vector, np.array([x.min(), x.max()]))
        way = "falls" if ends[1] < ends[0] else "rises"
        words = f"{begun}, {fit.y_col} {way} as {fit.x_cols[0]} grows"
    else:
        words = f"{begun}, {fit.y_col} was described by {', '.join(fit.x_cols)}"
    return f"{words}; {near} of what was measured." if near else f"{words}."


def _how_sure(found: Findings, fit: Fit) -> str:
    if found.holdout:
        worst = max(abs(row["relative_error"]) for row in found.holdout)
        inside = sum(row["ci"][0] <= row["actual"] <= row["ci"][1] for row in found.holdout)
        return (
            f"The {len(found.holdout)} largest runs, predicted from the others, came within "
            f"{100 * worst:.2g} %, {inside} of them inside the {100 * found.level:g} % interval."
        )
    tests = out_of_sample(fit, found.runs)
    if tests:
        return (
            f"Fitted to the smaller runs only, it missed the next larger ones by {missed(tests)}."
        )
    return "Nothing here tests it on runs that it has not seen."


def _next(found: Findings) -> Iterator[str]:
    plan, trouble = found.next
    if trouble:
        yield f"What to train next cannot be said: {trouble}."
    if not plan:
        return
    first, percent = plan[0], f"{100 * found.level:g} %"
    largest = float(used(found.runs)["flops"].max())
    unit = data_label(found.runs)
    size, data = counts(first.num_params_ci), counts(first.num_tokens_ci)
    loss = span(first.loss_ci, ".3g")
    yield (
        f"With {first.flops / largest:.3g} times the compute of the largest run, train about "
        f"{count(first.num_params)} parameters" + (f" ({percent}: {size})" if size else "")
        + f" on {count(first.num_tokens)} {unit}" + (f" ({data})" if data else "")
        + f", and expect a loss of {first.loss:.3g}" + (f" ({loss})." if loss else ".")
    )  # fmt: skip


def _caveat(found: Findings) -> str:
    """The one thing to know before acting on it."""
    runs, fit = found.runs, found.headline
    status = runs["status"] if "status" in runs.columns else None
    if status is not None and (open_ := int(status.isin(["planned", "running"]).sum())):
        have = "has" if open_ == 1 else "have"
        return f"{open_} of {len(runs)} runs {have} not finished: all of this may still move."
    if fit is None:
        return f"No law was fitted: {found.no_law.rstrip('.')}." if found.no_law else ""
    if not fit.identified:
        return "These runs do not pin the law down: read its numbers with the warnings below."
    if found.beyond is not None and found.beyond.doubt:
        doubt = found.beyond.doubt
        return f"{doubt[0].upper()}{doubt[1:]}."
    out = int((runs["exclude_reason"] != "").sum()) if "exclude_reason" in runs.columns else 0
    if out > 0.1 * len(runs):
        return f"{out} of {len(runs)} runs could not be used."
    return "Nothing larger than the largest run was measured: what lies beyond it is a forecast."


def weaknesses(runs: pd.DataFrame) -> list[str]:
    """What the choice of runs leaves open, one sentence each."""
    return list(_weak(used(runs)))


def _weak(table: pd.DataFrame) -> Iterator[str]:
    letters = {"num_params": "model size", "num_tokens": "amount of data"}
    seen = {}
    for name, words in letters.items():
        if name not in table.columns or not table[name].notna().any():
            continue
        values = table[name].dropna()
        seen[name] = values
        distinct, reach = values.nunique(), values.max() / values.min()
        if distinct == 1:
            yield f"There is one {words} only: how the loss changes with it is not seen."
        elif distinct < 3:
            yield f"There are {distinct} values of {words}: a bend cannot be told from a slope."
        elif reach < NARROW:
            yield (
                f"The {words} spans {reach:.2g} times: less than {NARROW:g} times leaves its "
                "effect uncertain."
            )
    if len(seen) == 2 and all(values.nunique() > 2 for values in seen.values()):
        logs = np.log(table[list(seen)].dropna().to_numpy(dtype=float))
        r = float(np.corrcoef(logs.T)[0, 1])
        if abs(r) > TOGETHER:
            yield (
                f"Size and data move together (correlation {r:.3f}): their effects can hardly be "
                "told apart."
            )
    if "seed" in table.columns and table["seed"].nunique() == 1 and len(table) > 1:
        yield "Every run has the same seed: how much chance moves a loss is not measured."
    if "lr" in table.columns and table["lr"].nunique() == 1 and "num_params" in seen:
        sizes = seen["num_params"]
        if sizes.max() / sizes.min() >= NARROW:
            yield "One learning rate served all sizes: where it suits one, others look worse."
    if {"num_unique_tokens", "num_tokens"} <= set(table.columns):
        passes = (table["num_tokens"] / table["num_unique_tokens"]).max()
        if passes > MANY_EPOCHS:
            yield f"Data were repeated up to {passes:.2g} times: more of the same is not new data."
    if loss_label(table) == "Loss" and "data_unit" not in table.columns:
        yield "The table does not say on which data, and in which unit, the loss was measured."
