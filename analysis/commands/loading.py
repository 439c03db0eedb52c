"""From what was asked for to the run table, its curves, the fit and the cost of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.commands.options import FitOptions, Source
from analysis.compute import Cost, family_cost, size_options
from analysis.compute import cost_of as run_cost
from analysis.fits import Estimand, Fit
from analysis.fits import fit as fit_law
from analysis.laws import Law, looks_fitted
from analysis.tables import (
    RESPONSE,
    Note,
    alike,
    is_error,
    is_file,
    load_curves,
    load_models,
    load_runs,
    one_variable,
    proposal,
    stacked,
    usable,
)
from scaling import COLUMN_FLAGS
from scaling.base import note, parse_settings
from scaling.families import check_options, get_family

if TYPE_CHECKING:
    import pandas as pd

FEW_GROUPS = 10
"""Groups below which draws of groups say little of how much they scatter."""


def table_of(source: Source, *, quiet: bool = False) -> pd.DataFrame:
    """The run table of a source; what is to be known of it goes to stderr.

    With ``quiet`` it is not said there what was taken for which column: the caller shows it.
    """
    taken, responses = source.taken, source.responses
    if responses:
        del taken["loss"]
    table = load_runs(source.name, where=source.where, columns=taken, how=source.how, **source.kept)
    if responses:
        table = stacked(table, responses)
        table.attrs["notes"].append(
            f"{len(responses)} rows of each run, one for each loss: {RESPONSE!r} says which"
        )
    table.attrs["stated"] = tuple(source.taken)
    for line in table.attrs["notes"]:
        if not (quiet and isinstance(line, Note) and line.taken):
            note(line)
    return table


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raise ``ValueError`` where a table lacks one of N, D, C and the loss, with what may be it."""
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(proposal(table, *missing))


def curves_of(source: Source) -> pd.DataFrame | None:
    """Learning curves, where the source is not a file of final losses."""
    if is_file(source.name, **source.kept):
        return None
    return load_curves(source.name, **source.kept)


def law_of(table: pd.DataFrame, asked: FitOptions) -> Law:
    """The law that was asked for, if the table has what it takes.

    Raises
    ------
    ValueError
        If ``--x-col`` names what the law does not take, a column of the formula may be meant as a
        parameter, or a column is missing.
    """
    law = asked.law_for(table)
    if "," in (asked.x_col or "") and asked.x_col not in table.columns:
        raise ValueError(
            f"--x-col {asked.x_col}: a fit takes one variable; several are for auto (scaling "
            "predict, backtest), or for a formula (--law 'loss = ...')"
        )
    if asked.x_col and asked.is_formula and law.variables != (asked.x_col,):
        raise ValueError(
            f"--x-col {asked.x_col}: the formula is one of {', '.join(law.variables)}; write "
            f"{asked.x_col} in it, or leave --x-col out"
        )
    for column in law.variables if asked.is_formula else ():
        if looks_fitted(column) and column not in table.attrs.get("stated", ()):
            raise ValueError(
                f"{column} in the formula is a column of the table too: say --col "
                f"{column}={column} if that is meant, or give the parameter another name, such as "
                f"{column}_1"
            )
    needed = {law.output} if asked.x_col else {law.output, *law.inputs}
    missing = [name for name in COLUMN_FLAGS if name in needed and name not in table.columns]
    if missing:
        alone = None if asked.law or missing == ["loss"] else one_variable(table)
        raise ValueError(proposal(table, *missing) + (f"; {_other_laws(alone)}" if alone else ""))
    return law


def fit_of(table: pd.DataFrame, asked: FitOptions) -> Fit:
    """The fit that was asked for."""
    law = law_of(table, asked)
    estimand = replace(estimand_of(asked), y_col=response_of(law, table))
    fitted = fit_law(law, table, estimand, bootstrap=asked.drawn, seed=asked.seed)
    found = fitted.diagnostics
    if found["together"]:
        note(found["together"])
    if asked.bootstrap and found["groups"] is not None and found["groups"] < FEW_GROUPS:
        by = f" by {asked.cluster}" if asked.cluster else ""
        note(f"{found['groups']} groups{by}: intervals from fewer than {FEW_GROUPS} are rough")
    if found["failed_draws"]:
        note(f"{found['failed_draws']} of {asked.bootstrap} draws failed and are left out")
    return fitted


def response_of(law: Law, table: pd.DataFrame) -> str | None:
    """The loss of a table where a law's own response has another name there (``--loss-col``).

    Raises
    ------
    ValueError
        If a law of the loss would have the same column for its response, or the response is no
        loss by its name and the table has no such column.
    """
    stated = "loss" in table.attrs.get("stated", ())
    there = law.output in table.columns
    takes_loss = "loss" in law.inputs and law.output != "loss"
    if takes_loss and stated and there and table["loss"].equals(table[law.output]):
        raise ValueError(
            f"--loss-col is the column {law.output!r}, which {law.name} predicts from the loss: "
            "let it name the loss, or leave it out"
        )
    if there or "loss" not in table.columns:
        return None
    if takes_loss or not (stated or is_error(law.output) or len(law.output) == 1):
        raise ValueError(
            f"the table has no column {law.output!r}, which {_said(law)} predicts: say --col "
            f"{law.output}={alike(law.output, table)}" + " or --loss-col COL" * (not takes_loss)
        )
    return "loss"


def _said(law: Law) -> str:
    return "the formula" if law.own else law.name


def estimand_of(asked: FitOptions) -> Estimand:
    """The question of the fit that was asked for."""
    return Estimand(
        asked.loss_fn, asked.delta, asked.asymmetry, asked.space, asked.weights, asked.x_col
    )


def _other_laws(column: str) -> str:
    """What a table without N or D can be fitted by."""
    plain = column.isidentifier()
    own = f"--law 'L = E + A / {column if plain else 'x'}**alpha'"
    named = "" if plain else f"--col {shlex.quote(f'x={column}')} "
    return f"a law of one variable takes --x-col {shlex.quote(column)}, one of yours {named}{own}"


@dataclass(frozen=True)
class Family:
    """The family of the models, what they share, and whether the caller named it."""

    name: str
    options: Mapping[str, Any]
    named: bool = False


def named_family(name: str | None, settings: Sequence[str]) -> Family | None:
    """The family that ``--family`` and ``--set`` name, if they do.

    Raises
    ------
    ValueError
        If there are settings but no family, or the family or an option of it is not known.
    """
    if name is None:
        if settings:
            raise ValueError("--set is of the models of --family NAME: give both")
        return None
    options = parse_settings(settings)
    check_options(get_family(name), options)
    return Family(name, options, named=True)


def family_of(source: Source) -> Family | None:
    """The family of the runs and what its models share; None if the source does not say."""
    models = load_models(source.name, **source.kept)
    families = {family for family, _ in models}
    if len(families) != 1:
        return None
    family = families.pop()
    try:
        largest_last = sorted((m for _, m in models), key=lambda m: _count(family, m))
        return Family(family, size_options(family, largest_last))
    except ValueError as error:
        note(f"no real architectures beside the plan: {error}")
        return None


def _count(family: str, model: dict[str, Any]) -> int:
    known = get_family(family)
    return int(known.cost(known.resolve(model)).num_params)


def cost_of(
    table: pd.DataFrame, family: Family | None, budgets: Sequence[float], factor: float | None
) -> Cost:
    """Training FLOPs per token at size N: ``factor`` N, by the family, as the runs show, or 6 N."""
    if factor:
        return factor
    if family is not None:
        sizes = usable(table, "num_params")["num_params"]
        largest = max(float(sizes.max()), (max(budgets) / 6) ** 0.5)
        try:
            cost = family_cost(family.name, family.options, float(sizes.min()), 10 * largest)
        except ValueError as error:
            if family.named:
                raise
            note(f"the family's own FLOPs are not known: {error}")
        else:
            note(f"cost: exact FLOPs per token of {family.name} (--cost 6 for C = 6 N D)")
            return cost
    cost = run_cost(table)
    if callable(cost):
        note("cost: the runs' exact FLOPs per token (--cost 6 for C = 6 N D)")
    return cost
