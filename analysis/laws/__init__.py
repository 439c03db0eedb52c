"""Scaling laws by name: ``LAWS["chinchilla"]``. A new law is one file in a room of these.

Its line is in ``LAWS`` of that room.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from analysis.laws.any_inputs import laws_in
from analysis.laws.architecture import LAWS as ARCHITECTURE
from analysis.laws.base import Array, Law, Parameter, scales
from analysis.laws.data import LAWS as DATA
from analysis.laws.downstream import LAWS as DOWNSTREAM
from analysis.laws.experts import LAWS as EXPERTS
from analysis.laws.formula import FORMULA, SYMBOLS, formula_law, group_columns
from analysis.laws.groups import Groups, by_group, group_names, grouped, groups_in
from analysis.laws.named import named_law
from analysis.laws.one_input import LAWS as ONE_INPUT
from analysis.laws.optimum import exponents, optimal
from analysis.laws.own import callable_law, looks_fitted
from analysis.laws.scores import score_laws
from analysis.laws.shifts import shifted
from analysis.laws.size_data import LAWS as SIZE_DATA
from analysis.laws.training import LAWS as TRAINING
from analysis.laws.training import with_schedule_sums
from scaling import COLUMNS
from scaling.base import load, path_of, plugged, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        *ONE_INPUT,
        *SIZE_DATA,
        *ARCHITECTURE,
        *EXPERTS,
        *DATA,
        *TRAINING,
        *DOWNSTREAM,
    )
}


def find_law(law: str | Law, inputs: tuple[str, ...] | None = None) -> Law:
    """The law of that name or formula, or at that import path; a ``Law`` is returned as it is."""
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        raise TypeError(
            f"law is a {type(law).__name__}, neither a name nor a Law: "
            "a function becomes a law by callable_law(function)"
        )
    if law in LAWS:
        return LAWS[law]
    if "=" in law:
        return formula_law(law, inputs)
    if path := path_of("law", law):
        return _own(law, path)
    if law == "auto":
        raise ValueError(
            "auto averages laws to forecast (scaling predict, plan, backtest); a fit takes one: "
            "scaling laws lists them"
        )
    if any(sign in law for sign in "*/+^("):
        raise ValueError(f"law {law!r}: a formula says what it gives, as in 'loss = {law}'")
    return refuse_unknown(law, (*LAWS, *plugged("law")), "law")


@cache
def _own(name: str, path: str) -> Law:
    """A user's law: a ``Law``, or a function that :func:`callable_law` makes one."""
    found = load(path)
    if not isinstance(found, Law) and not callable(found):
        raise ValueError(f"law {name}: {path} is neither a Law nor a function of inputs")
    law: Law = found if isinstance(found, Law) else callable_law(found)
    return law


def law_for(
    law: str | Law,
    table: pd.DataFrame | None = None,
    signed: Sequence[str] = (),
    start: Mapping[str, tuple[float, float]] | None = None,
) -> Law:
    """``find_law``; in a formula, the columns of a ``table`` are inputs too.

    ``signed`` and ``start`` are those of ``formula_law``; ``ValueError`` with any other law.
    """
    if not isinstance(law, str) or "=" not in law:
        known = find_law(law)
        if signed or start:
            raise ValueError(
                f"--signed and --start are for a law from a formula; {known.name} has its own"
            )
        return known if table is None else _over(known, share_columns(table))
    if table is None:
        return formula_law(law, (), tuple(signed), start)
    names = [str(c) for c in table.columns if str(c) not in SYMBOLS]
    names.sort(key=_rank)
    levels = {c: groups_in(table, c) for c in group_columns(law) if c in table.columns}
    return formula_law(law, tuple(names), tuple(signed), start, levels)


def _rank(column: str) -> int:
    """N before D, whatever the order in the table: what is a law in (N, D) is told by that."""
    return list(COLUMNS).index(column) if column in COLUMNS else len(COLUMNS)


def _over(law: Law, shares: Sequence[str]) -> Law:
    """A law of mixtures over these columns of shares; other laws as they are."""
    if law.over is None or not shares or tuple(shares) == law.shares:
        return law
    return law.over(shares)


def share_columns(table: pd.DataFrame) -> list[str]:
    """Columns of shares of a data mixture: ``proportion_books``, ``share_code``, ..."""
    return [c for c in map(str, table.columns) if re.match(r"(proportion|share|ratio)s?_", c)]


def law_to_dict(law: Law) -> dict[str, Any]:
    """What ``law_from_dict`` makes ``law`` from again, as values that JSON holds."""
    groups = law.groups
    one = law if groups is None else groups.law
    return {
        "law": one.name,
        "law_formula": one.formula,
        "law_inputs": list(one.inputs),
        "law_options": one.options(one) if one.options is not None else {},
        "law_groups": None
        if groups is None
        else {"by": dict(groups.by), "levels": dict(groups.levels), "pooled": groups.pooled},
    }


def law_from_dict(data: Mapping[str, Any]) -> Law:
    """The law that ``law_to_dict`` wrote; ``ValueError`` for one from a callable."""
    known = LAWS.get(data["law"])
    if known is None and data["law"] != FORMULA:
        raise ValueError(f"{data['law']} is a law from a callable: give it as law=")
    if known is not None and known.over is not None:
        known = _over(known, data["law_options"]["shares"])
    law = known or formula_law(
        data["law_formula"], tuple(data["law_inputs"]), **data.get("law_options", {})
    )
    groups = data.get("law_groups")
    return law if groups is None else grouped(law, **groups)


__all__ = [
    "LAWS",
    "SYMBOLS",
    "Array",
    "Groups",
    "Law",
    "Parameter",
    "by_group",
    "callable_law",
    "exponents",
    "find_law",
    "formula_law",
    "group_names",
    "grouped",
    "groups_in",
    "law_for",
    "law_from_dict",
    "law_to_dict",
    "laws_in",
    "looks_fitted",
    "named_law",
    "optimal",
    "scales",
    "score_laws",
    "share_columns",
    "shifted",
    "with_schedule_sums",
]
