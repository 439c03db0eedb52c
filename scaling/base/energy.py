"""Constants for energy and CO2e where nothing was measured, with their sources."""

from __future__ import annotations

from typing import Any

# Strubell et al. 2019, sec. 2: average power usage effectiveness of data centres (Ascierto
# 2018) and CO2 per kWh of the U.S. grid (EPA 2018), 0.954 lb x 0.4536 kg/lb.
PUE = 1.58
KG_PER_POUND = 0.45359237
KG_CO2E_PER_KWH = 0.954 * KG_PER_POUND

# Watts of one device under load, by kind: a desktop processor's and an A100 SXM's rated power.
# Strubell et al. measured theirs; so should whoever needs more than the order of magnitude.
WATTS = {"cpu": 65.0, "cuda": 400.0}

# Strubell et al. 2019 (arXiv 1906.02243), table 1: pounds of CO2e.
STRUBELL = {
    "a flight New York - San Francisco and back": 1984,
    "a human life, one year": 11_023,
    "an American life, one year": 36_156,
    "a car and its fuel, a lifetime": 126_000,
    "training an NLP pipeline": 39,
    "tuning an NLP pipeline, with experiments": 78_468,
    "training a Transformer (big)": 192,
    "an architecture search for a Transformer": 626_155,
}
FLIGHT = KG_PER_POUND * STRUBELL["a flight New York - San Francisco and back"]


def kwh_of(seconds: Any, watts: Any, pue: float = PUE) -> Any:
    """kWh of ``seconds`` at ``watts``, numbers or columns, in a data centre (ibid., eq. 1)."""
    return seconds * watts * pue / 3.6e6


def of_a_flight(kg_co2e: float) -> str:
    """CO2e as a share of a passenger's flight, which people know.

    >>> of_a_flight(9.0)
    '0.01 of a flight New York - San Francisco and back'
    """
    return f"{kg_co2e / FLIGHT:.2g} of a flight New York - San Francisco and back"
