"""The registry of sweep shapes: one file and one line here for each.

A generator turns its block of the sweep file into points, in order: flat options of
:meth:`scaling.spec.RunSpec.resolve`, or ``flops`` in place of ``num_tokens``. It knows nothing
of what is derived or bounded, nor where runs go. A point's ``labels`` are columns of the run
table that say what it is for (:data:`scaling.schema.LABELS`); they are no options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaling.base import load, plugged
from sweeps.document import Document, Where
from sweeps.kinds import compound, design_space, grid, isoflop, ladder
from sweeps.kinds import runs as table

Points = Callable[[Document, Any, Where], list[dict[str, Any]]]
GENERATORS: dict[str, Points] = {
    "grid": grid.points,
    "isoflop": isoflop.points,
    "ladder": ladder.points,
    "compound": compound.compound_points,
    "single_axis": compound.single_axis_points,
    "coefficient_search": compound.search_points,
    "design_space": design_space.points,
    "runs": table.points,
}


def generators() -> dict[str, Points]:
    """All sweep shapes by name, those of installed packages too.

    Raises
    ------
    ValueError
        If a package's cannot be loaded.
    """
    own = {name: load(path) for name, path in plugged("sweep shape").items()}
    return {**own, **GENERATORS}
