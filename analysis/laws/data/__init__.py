"""Laws of which data: fine-tuning, and mixtures of domains."""

from __future__ import annotations

from analysis.laws.data.fine_tuning import FINE_TUNING
from analysis.laws.data.mixture import MIXTURE
from analysis.laws.data.mixture_additive import MIXTURE_ADDITIVE
from analysis.laws.data.transfer import TRANSFER

LAWS = (
    FINE_TUNING,
    TRANSFER,
    MIXTURE,
    MIXTURE_ADDITIVE,
)

__all__ = ["LAWS"]
