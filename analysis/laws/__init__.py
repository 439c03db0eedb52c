"""Scaling laws by name: ``LAWS["chinchilla"]``. A new law is one file here and one line below."""

from __future__ import annotations

from analysis.laws.base import Law, Parameter
from analysis.laws.chinchilla import CHINCHILLA, CHINCHILLA_SYMMETRIC
from analysis.laws.formula import formula_law
from analysis.laws.power import POWER, POWER_FLOOR
from scaling.names import refuse_unknown

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        POWER,
        POWER_FLOOR,
        CHINCHILLA,
        CHINCHILLA_SYMMETRIC,
    )
}


def find_law(law: str | Law) -> Law:
    """The law of that name or formula; a ``Law`` is returned as it is."""
    if isinstance(law, Law):
        return law
    if law in LAWS:
        return LAWS[law]
    if "=" in law:
        return formula_law(law)
    refuse_unknown(law, LAWS, "law")


__all__ = ["LAWS", "Law", "Parameter", "find_law", "formula_law"]
