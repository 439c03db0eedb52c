"""The command ``scaling fit``: the law, its intervals and its certificate."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from analysis.commands.choice import chosen, next_command
from analysis.commands.fit_text import (
    certificate,
    latex_table,
    left_out,
    print_approaches,
    print_checklist,
    print_taken,
    say_taken,
    tested,
)
from analysis.commands.kept import fit_options, keep
from analysis.commands.loading import curves_of, fit_of, table_of
from analysis.commands.options import FitOptions, Source, read
from analysis.compute import Approach, compare, efficient
from analysis.fits import Fit, checklist
from analysis.forecasts import out_of_sample
from analysis.tables import NATS, usable
from scaling.base import NoAnswerError, format_value, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd


@dataclass(frozen=True)
class Options:
    """In which forms the fit is shown.

    Raises
    ------
    ValueError
        If a LaTeX table is asked for with something else.
    """

    checklist: bool = False
    keep: bool = False
    latex: bool = False
    json: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is shown as text for people."""
        return not (self.json or self.latex)

    def __post_init__(self) -> None:
        if self.latex and (self.json or self.checklist):
            raise ValueError(
                "--latex prints one table: leave out --json and --checklist, or --latex"
            )


def run(args: argparse.Namespace) -> int:
    """``scaling fit``."""
    source, asked = read(Source, args), read(Options, args)
    how = fit_options(source, args)
    table = table_of(source, quiet=asked.plain)
    options, why = chosen(how.fit, table)
    level = options.level
    try:
        fitted = fit_of(table, options)
    except ValueError:
        if asked.plain:
            say_taken(table)
        raise
    if asked.keep:
        note(f"kept for later fits and reports of the sweep: {keep(source, how)}")
        note(f"`scaling sync {shlex.quote(source.name)}` puts it into the note in MLflow")
    found = fit_values(fitted, level)
    found["notes"] = [*table.attrs["notes"], *fitted.diagnostics["notes"]]
    found["chosen"] = why
    found["units"] = table.attrs.get("units", {})
    found["out_of_sample"] = list(out_of_sample(fitted, table))
    approaches: list[Approach] = []
    if "a" in found and "flops" in table.columns:
        approaches = _approaches(table, curves_of(source), fitted, options)
        found["approaches"] = [approach.to_dict() for approach in approaches]
    items = checklist(fitted, table, level) if asked.checklist else []
    if asked.json:
        found["frontier"] = frontier_values(fitted, table)
        found |= {"checklist": [asdict(item) for item in items]} if items else {}
        print_json(found)
        return 0
    if asked.latex:
        print(latex_table(fitted, level))
        return 0
    known = not print_taken(table)
    if why and not known:
        print(f"law: {why}\n")
    _print_fit(fitted, found, level, _loss_unit(table))
    print(certificate(fitted))
    print(tested(found["out_of_sample"]))
    print_approaches(approaches, level)
    print_checklist(items)
    if not known:
        print(f"next: {next_command(source, options, fitted, found)}")
    for line in (*fitted.diagnostics["notes"], *left_out(fitted, table)):
        note(line)
    return 0


def _approaches(
    table: pd.DataFrame, curves: pd.DataFrame | None, fitted: Fit, options: FitOptions
) -> list[Approach]:
    """The law beside other approaches, where there are curves or one of them has an answer."""
    seen = compare(table, curves=curves, fit=fitted, level=options.level, seed=options.seed)
    answers = sum(approach.a == approach.a for approach in seen)
    return seen if answers > 1 or (curves is not None and len(curves)) else []


def _loss_unit(table: pd.DataFrame) -> str | None:
    """As the table says it; nats an example where our runs are of examples."""
    stated: str | None = table.attrs.get("units", {}).get("loss")
    of_examples = "data_unit" in table and {*table["data_unit"]} == {"example"}
    return stated or ("nats/example" if of_examples else None)


def _print_fit(fitted: Fit, found: dict[str, Any], level: float, unit: str | None = None) -> None:
    """The law's parameters and exponents as a table, then how it was fitted.

    ``unit`` is that of the loss, where a table says it.
    """
    rows = []
    unsure = {*fitted.diagnostics["unsure"]} if fitted.draws is not None else set()
    for p in fitted.law.parameters:
        at = _marked(found["ci"].get(p.name, (None, None)), p.name in unsure)
        own = p.unit.replace(NATS, unit).replace("as loss", unit) if unit else p.unit
        rows.append((p.name, found["params"][p.name], *at, own, p.means))
    shape = {p.name for p in fitted.law.parameters if p.role != "floor"}
    for name, what in zip(fitted.exponent_names, "ND", strict=True):
        if fitted.in_plane and found[name] is not None:
            at = _marked(found["ci"].get(name, (None, None)), bool(unsure & shape))
            rows.append((name, found[name], *at, "", f"{what}* ~ C^{name}"))
    percent = f"{100 * level:g} %"
    print_table(fitted.formula(), ("", "value", f"{percent} from", "to", "unit", "meaning"), rows)
    if unsure:
        print("?: not identified by these runs (see status); its interval may be far too narrow")
    print(f"{fitted.law.source}")
    print(
        f"{fitted.n_runs} runs, {len(fitted.excluded)} left out; "
        f"{fitted.loss_fn} on {fitted.space} residuals"
        + (f" (delta {fitted.delta:g})" if fitted.loss_fn == "huber" else "")
        + f", objective {fitted.objective:.6g}, R2 {fitted.r2:.5f}; status: {found['status']}"
    )


def _marked(ends: Sequence[Any], unsure: bool) -> tuple[Any, Any]:
    """The ends of an interval; ``?`` after the upper one where it may be too narrow."""
    low, high = ends
    return low, f"{format_value(high)} ?" if unsure and high is not None else high


def fit_values(fitted: Fit, level: float = 0.9) -> dict[str, Any]:
    """A fit as the plain values that ``scaling fit --json`` prints."""
    ci = {k: list(v) for k, v in fitted.ci(level).items()} if fitted.draws is not None else {}
    n_draws = 0 if fitted.draws is None else len(fitted.draws)
    found: dict[str, Any] = {
        "law": fitted.law.name,
        "formula": fitted.formula(),
        "source": fitted.law.source,
        "status": fitted.status,
        "objective": fitted.objective,
        "params": fitted.params,
        "ci": ci,
        "level": level,
        "resample": fitted.resample,
        "clusters": fitted.diagnostics["groups"],
        "draws": {"used": n_draws, "failed": fitted.diagnostics["failed_draws"]},
        "n_runs": fitted.n_runs,
        "r2": fitted.r2,
        "loss_fn": fitted.loss_fn,
        "delta": fitted.delta,
        "space": fitted.space,
        "excluded": list(fitted.excluded),
        "untold": fitted.untold,
        "diagnostics": fitted.diagnostics,
    }
    if fitted.in_plane:
        both: tuple[float | None, float | None] = None, None
        try:
            both = fitted.exponents()
            if fitted.draws is not None:
                intervals = map(list, fitted.exponents_ci(level).values())
                ci.update(zip(fitted.exponent_names, intervals, strict=True))
        except NoAnswerError as error:
            note(f"no allocation exponents: {error}")
        found["a"], found["b"] = both
        found.update(zip(fitted.exponent_names, both, strict=True))  # as in ci
    found["status"] = _status(fitted, found)
    return found


def frontier_values(fitted: Fit, runs: pd.DataFrame) -> list[tuple[float, float]]:
    """Training FLOPs and the lowest loss that the law expects there; empty where it has none."""
    if fitted.y_col != "loss" or not fitted.in_plane or "flops" not in runs.columns:
        return []
    try:
        flops, losses = efficient(fitted, usable(runs, "flops"))
    except (ValueError, NoAnswerError):
        return []
    return list(zip(flops.tolist(), losses.tolist(), strict=True))


def _status(fitted: Fit, found: dict[str, Any]) -> str:
    """The fit's status, with the intervals at this level that exclude their own estimate."""
    values = {**found, **fitted.params}
    missed = [name for name, (low, high) in found["ci"].items() if not low <= values[name] <= high]
    said = f"the interval of {', '.join(missed)} excludes its own estimate"
    if not missed or said in fitted.status:
        return fitted.status
    return said if fitted.identified else f"{fitted.status}; {said}"
