"""Laws of what a model is made of: width and depth, streams, bits, words."""

from __future__ import annotations

from analysis.laws.architecture.parallel import PARALLEL
from analysis.laws.architecture.precision import PRECISION
from analysis.laws.architecture.precision_after import PRECISION_AFTER
from analysis.laws.architecture.vocabulary import VOCABULARY
from analysis.laws.architecture.width_depth import WIDTH_DEPTH
from analysis.laws.architecture.width_of_depth import WIDTH_OF_DEPTH

LAWS = (
    WIDTH_DEPTH,
    WIDTH_OF_DEPTH,
    PARALLEL,
    PRECISION,
    PRECISION_AFTER,
    VOCABULARY,
)

__all__ = ["LAWS"]
