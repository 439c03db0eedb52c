"""Constants for energy and CO2e where nothing was measured, with their sources."""

from __future__ import annotations

# Strubell et al. 2019, sec. 2: average power usage effectiveness of data centres (Ascierto
# 2018) and CO2 per kWh of the U.S. grid (EPA 2018), 0.954 lb x 0.4536 kg/lb.
PUE = 1.58
KG_CO2E_PER_KWH = 0.954 * 0.45359237

# Watts of one device under load, by kind: a desktop processor's and an A100 SXM's rated power.
# Strubell et al. measured theirs; so should whoever needs more than the order of magnitude.
WATTS = {"cpu": 65.0, "cuda": 400.0}
