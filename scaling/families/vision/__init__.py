"""Vision families, over one tree of layers: its counts, its modules, dials; the ``zoo`` is inside.

``VISION`` lists the families.
"""

from __future__ import annotations

from scaling.families.vision.family import MULTIPLIERS, bracket
from scaling.families.vision.wired import MOST_CODED, WIRED, write_code
from scaling.families.vision.zoo import RULE, ZOO, AnyNetConfig, compatible, quantised_widths

VISION = (*ZOO, *WIRED)

__all__ = [
    "MOST_CODED",
    "MULTIPLIERS",
    "RULE",
    "VISION",
    "AnyNetConfig",
    "bracket",
    "compatible",
    "quantised_widths",
    "write_code",
]
