"""The questions that a reader of a scaling law asks, answered for one fit.

Source: Li, Kudugunta and Zettlemoyer 2025, *(Mis)Fitting: A Survey of Scaling Laws* (arXiv
2502.18969), table 1, whose questions are put here in short. What a run table cannot say is left
to the author, and is marked so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.fits.result import Fit
from analysis.tables import structure
from analysis.wording import count, span
from scaling import RUN_COLUMNS
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

OPEN = "to be said by the author: "
"""Before what the table does not hold."""

_COUNTED = {c.name for c in RUN_COLUMNS if c.unit in ("parameters", "FLOPs")} | {
    "num_tokens", "num_unique_tokens"
}  # fmt: skip
"""Columns of N, D and C, which are counted in more than one way."""

_ESTIMANDS = {
    "huber": "sum of Huber's penalty with delta {delta:g} (within it squares, beyond it absolute)",
    "lad": "sum of absolute deviations",
    "mse": "sum of squares",
    "tukey": "sum of Tukey's biweight with cut-off {delta:g}",
}


@dataclass(frozen=True)
class Item:
    """A ``question`` of a ``section`` and its ``answer``."""

    section: str
    question: str
    answer: str

    @property
    def open(self) -> bool:
        """Whether the author has to answer it."""
        return OPEN in self.answer


def checklist(fit: Fit, runs: pd.DataFrame, level: float = 0.9) -> list[Item]:
    """Every question with its answer for ``fit``, which was fitted to the table ``runs``."""
    used = runs.drop(index=runs.index[[line["row"] for line in fit.excluded]])
    sections = (
        ("hypothesis", _hypothesis(fit)),
        ("training", _training(fit, used)),
        ("data collection", _collection(fit, used)),
        ("fitting", _fitting(fit, level)),
    )
    return [
        Item(section, question, said) for section, items in sections for question, said in items
    ]


def _hypothesis(fit: Fit) -> Iterator[tuple[str, str]]:
    law = fit.law
    means = {column.name: column.means for column in RUN_COLUMNS}
    yield "What is the form of the law?", law.formula
    yield (
        "Which variables does it relate?",
        "; ".join(f"{name} ({means[name]})" if name in means else name
                  for name in (*fit.x_cols, fit.y_col)),
    )  # fmt: skip
    held = fit.diagnostics["fixed"]
    fitted = [f"{p.name} ({p.means})" if p.means else p.name for p in law.parameters
              if p.name not in held]  # fmt: skip
    yield (
        "Which parameters are fitted?",
        ", ".join(fitted) + (f"; held: {_pairs(held)}" if held else ""),
    )
    yield (
        "From what principle does the form follow?",
        law.source or OPEN + "the form is the author's own",
    )
    yield (
        "What does it assume of how the variables are related?",
        law.assumes,
    )


def _training(fit: Fit, runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    models = _distinct(runs, ("num_params", "run_id", "name"))
    yield "How many models were trained?", f"{fit.n_runs} rows used" + models
    sizes = "num_params" in runs and runs["num_params"].notna().any()
    yield (
        "Of which sizes?",
        _range(runs, "num_params", "parameters")
        if sizes
        else (_range(runs, fit.x_cols[0], f"({fit.x_cols[0]})")),
    )
    on = _values(runs, "data")
    yield (
        "On how much data, and which?",
        _range(runs, "num_tokens", f"training {_unit(runs)}") + (f" of {on}" if on else
        "; " + OPEN + "which data"),
    )  # fmt: skip
    yield "Are data repeated within a run?", _repeats(runs)
    yield "How are N, D and C counted?", _counting(runs)
    yield "How are hyperparameters chosen, and do they change with scale?", _settings(runs)
    yield "Is the training code open?", OPEN + "and where"


def _collection(fit: Fit, runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    rows = ""
    if "run_id" in runs and (runs["run_id"].astype(str) != "").all() and len(runs):
        most = int(runs["run_id"].value_counts().max())
        rows = "one, the last" if most == 1 else f"up to {most} rows a run"
    found = structure(runs)
    if found.kind == "checkpoints":
        rows = found.says
    yield (
        "How many checkpoints of a model are used?",
        rows
        or (
            OPEN
            + "one row is taken as one run; points of a curve before its end are not final losses"
        ),
    )
    yield (
        "Which metric, on which data?",
        f"{fit.y_col}"
        + (", held-out, nats" if "data_unit" in runs else "; " + OPEN + "on which data"),
    )
    yield (
        "Is the metric changed before the fit?",
        ("its logarithm is fitted" if fit.space == "log" else "no")
        + ("" if np.ptp(fit.weights) == 0 else ", with weights"),
    )
    yield "Are checkpoints and evaluations open?", OPEN + "and where"


def _fitting(fit: Fit, level: float) -> Iterator[tuple[str, str]]:
    found, asked = fit.diagnostics, fit.estimand
    yield (
        "Which objective?",
        f"{_ESTIMANDS[asked.loss_fn].format(delta=asked.penalty.delta)} of {fit.space} residuals, "
        f"{fit.objective:.10g} at the optimum"
        + ("" if asked.asymmetry == 1 else f"; runs above the law count {asked.asymmetry:g} times"),
    )
    yield (
        "Which algorithm?",
        "linear parameters projected out over a grid of the others, then damped Newton steps on "
        "centred inputs with delta falling to its value",
    )
    starts = found["starts"]
    yield (
        "How is it started, and how often?",
        "from the best points of the grid"
        + (f" and {starts} random starts, of which {100 * found['agree']:.0f} % end at this "
           f"optimum; the best of them is worse by {found['objective_gap']:.1g} of it"
           if starts else ""),
    )  # fmt: skip
    yield (
        "Did it converge?",
        f"gradient {found['gradient_norm']:.1g} of the objective, condition number "
        f"{found['condition']:.3g}, at bounds: {', '.join(found['at_bounds']) or 'none'}",
    )
    reasons = sorted({line["reason"] for line in fit.excluded})
    yield (
        "Are all points used?",
        f"{fit.n_runs} of {fit.n_runs + len(fit.excluded)}"
        + (f"; left out: {'; '.join(reasons)}" if reasons else ""),
    )
    yield "How well does it fit?", f"R2 {fit.r2:.5f}; status: {fit.status}"
    yield "How sure are the parameters?", _intervals(fit, level)
    yield (
        "Does it extrapolate?",
        f"{OPEN}scaling backtest --law {fit.law.name} predicts the large runs from the small",
    )


def _intervals(fit: Fit, level: float) -> str:
    if fit.draws is None:
        return "no draws were made (--bootstrap)"
    parts = [f"{name} {span(ci)}" for name, ci in fit.ci(level).items()]
    if fit.in_plane:
        with suppress(NoAnswerError):  # the status says that there is no best size
            parts += [f"{name} {span(ci)}" for name, ci in fit.exponents_ci(level).items()]
    return (
        f"{100 * level:g} % percentile intervals of {len(fit.draws)} bootstrap draws "
        f"({fit.resample}), each restarted globally: {', '.join(parts)}"
    )


def _distinct(runs: pd.DataFrame, names: tuple[str, ...]) -> str:
    for name in names:
        if name in runs and runs[name].notna().any() and (runs[name].astype(str) != "").any():
            return f", {runs[name].nunique()} distinct {name}"
    return ""


def _range(runs: pd.DataFrame, name: str, what: str) -> str:
    if name not in runs or not runs[name].notna().any():
        return f"{OPEN}no {name} in the table"
    low, high = float(runs[name].min()), float(runs[name].max())
    return f"{count(low)} to {count(high)} {what}, {count(high / low)}-fold"


def _unit(runs: pd.DataFrame) -> str:
    return (_values(runs, "data_unit") or "token") + "s"


def _values(runs: pd.DataFrame, name: str) -> str:
    """The distinct texts of a column, if it is there and they are few."""
    if name not in runs:
        return ""
    found = sorted({str(v) for v in runs[name].dropna()} - {""})
    return ", ".join(found) if len(found) <= 3 else ""


def _repeats(runs: pd.DataFrame) -> str:
    if (
        not {"num_unique_tokens", "num_tokens"} <= set(runs)
        or runs["num_unique_tokens"].isna().all()
    ):
        return OPEN + "the table has no num_unique_tokens"
    passes = runs["num_tokens"] / runs["num_unique_tokens"]
    again = int((passes > 1.001).sum())
    return f"yes, up to {passes.max():.3g} passes, in {again} runs" if again else "no"


def _counting(runs: pd.DataFrame) -> str:
    if "family" in runs and (runs["family"].fillna("") != "").any():
        return "; ".join(f"{c.name}: {c.means}" for c in RUN_COLUMNS
                         if c.name in ("num_params", "num_tokens", "flops"))  # fmt: skip
    notes = [n for n in runs.attrs.get("notes", []) if getattr(n, "about", "") in _COUNTED]
    return (
        OPEN
        + "with or without embeddings, which FLOPs"
        + (f" ({'; '.join(notes)})" if notes else "")
    )


def _settings(runs: pd.DataFrame) -> str:
    known = [name for name in ("lr", "batch_size") if name in runs and runs[name].notna().any()]
    if not known:
        return OPEN + "the table holds none"
    parts = []
    for name in known:
        low, high = float(runs[name].min()), float(runs[name].max())
        parts.append(f"{name} {low:.3g}" + (f" to {high:.3g}" if high > low else " throughout"))
    seeds = f", {runs['seed'].nunique()} seeds" if "seed" in runs else ""
    return ", ".join(parts) + seeds


def _pairs(values: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in values.items())
