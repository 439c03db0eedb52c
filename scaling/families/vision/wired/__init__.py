"""Networks that are wired as graphs: at random, or as a search finds them."""

from __future__ import annotations

from scaling.families.vision.wired.darts import DARTS
from scaling.families.vision.wired.randwire import RANDWIRE
from scaling.families.vision.wired.search import DARTS_SEARCH

WIRED = (RANDWIRE, DARTS, DARTS_SEARCH)

__all__ = ["WIRED"]
