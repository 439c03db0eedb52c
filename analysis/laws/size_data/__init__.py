"""Laws of parameters N and data D."""

from __future__ import annotations

from analysis.laws.size_data.chinchilla import CHINCHILLA
from analysis.laws.size_data.chinchilla_symmetric import CHINCHILLA_SYMMETRIC
from analysis.laws.size_data.farseer import FARSEER
from analysis.laws.size_data.gadre import GADRE
from analysis.laws.size_data.kaplan import KAPLAN
from analysis.laws.size_data.overfitting import OVERFITTING
from analysis.laws.size_data.repeated_data import REPEATED_DATA

LAWS = (
    KAPLAN,
    CHINCHILLA,
    CHINCHILLA_SYMMETRIC,
    REPEATED_DATA,
    OVERFITTING,
    GADRE,
    FARSEER,
)

__all__ = ["LAWS"]
