"""Networks that are wired as graphs: at random, by codes, or as a search finds them."""

from __future__ import annotations

from scaling.families.vision.wired.darts import DARTS
from scaling.families.vision.wired.genetic import GENETIC
from scaling.families.vision.wired.graphs import MOST_CODED, write_code
from scaling.families.vision.wired.randwire import RANDWIRE
from scaling.families.vision.wired.search import DARTS_SEARCH

WIRED = (RANDWIRE, GENETIC, DARTS, DARTS_SEARCH)

__all__ = ["MOST_CODED", "WIRED", "write_code"]
