"""The registry of sweep shapes: one file and one line here for each.

A generator turns its block of the sweep file into points, in order: flat options of
:meth:`scaling.spec.RunSpec.resolve`, or ``flops`` in place of ``num_tokens``. It knows nothing
of what is fixed, derived or bounded, nor where runs go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sweeps import grid, isoflop, ladder, table
from sweeps.document import Document, Where

GENERATORS: dict[str, Callable[[Document, Any, Where], list[dict[str, Any]]]] = {
    "grid": grid.points,
    "isoflop": isoflop.points,
    "ladder": ladder.points,
    "runs": table.points,
}
