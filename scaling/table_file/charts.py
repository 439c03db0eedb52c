"""Charts that W&B's pages export: one column of points a run."""

from __future__ import annotations

from collections.abc import Sequence

BESIDE = ("__MIN", "__MAX")
"""Ends of the columns beside each curve of a chart."""

_STEP_OF_CHART = " - _step"


def curves_of_chart(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Run, metric and column of each curve of a chart that W&B exported; none for a table.

    The first column of a chart is its x axis.

    >>> curves_of_chart(["Step", "a - loss", "a - loss__MIN", "a - loss__MAX"])
    [('a', 'loss', 'a - loss')]
    """
    there = set(names)
    found = []
    for column in names[1:]:
        run, dash, metric = column.rpartition(" - ")
        if dash and {column + end for end in BESIDE} <= there:
            found.append((run, metric, column))
    return [one for one in found if not one[2].endswith(_STEP_OF_CHART)]
