"""Laws of one input: learning curves."""

from __future__ import annotations

from analysis.laws.one_input.bnsl import BNSL0, BNSL1, BNSL2, BNSL3
from analysis.laws.one_input.m3 import M3
from analysis.laws.one_input.m4 import M4
from analysis.laws.one_input.power import POWER
from analysis.laws.one_input.power_floor import POWER_FLOOR

LAWS = (
    POWER,
    POWER_FLOOR,
    M3,
    M4,
    BNSL0,
    BNSL1,
    BNSL2,
    BNSL3,
)

__all__ = ["LAWS"]
