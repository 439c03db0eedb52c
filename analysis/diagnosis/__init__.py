"""Where a model's error comes from, and what would make it smaller."""

from __future__ import annotations

from analysis.diagnosis.levers import LONGER, REGULARISATION, Lever, levers, most_helpful
from analysis.diagnosis.parts import (
    TRAINING,
    Parts,
    irreducible_of,
    means,
    training_column,
    with_parts,
)
from analysis.diagnosis.regularisers import plain, regularisers

__all__ = [
    "LONGER",
    "REGULARISATION",
    "TRAINING",
    "Lever",
    "Parts",
    "irreducible_of",
    "levers",
    "means",
    "most_helpful",
    "plain",
    "regularisers",
    "training_column",
    "with_parts",
]
