"""A law from a formula."""
from __future__ import annotations
from analysis.laws.base import Law
def formula_law(text: str) -> Law:
    raise ValueError("not yet")
