"""Several responses of a run as rows of one table, so that one law can be fitted to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.base import refuse_unknown
from scaling.table_file import Lines

if TYPE_CHECKING:
    import pandas as pd

RESPONSE = "response"
"""The column that says which response a row is of: ``E[response]`` in a formula."""


def stacked(runs: pd.DataFrame, responses: Sequence[str], name: str = "loss") -> pd.DataFrame:
    """``runs`` once for each of the columns ``responses``, whose values are in the column ``name``.

    Rows of one run share its ``run_id`` (its number, where the table has none), by which a
    bootstrap keeps them together. A row without a value of one response is left out there and
    stays for the others.

    Raises
    ------
    ValueError
        If a response is no column or given twice, or there are not two, or the table has a
        column ``response`` of its own.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"share": [0.2, 0.8], "loss_a": [3.0, 2.0], "loss_b": [1.0, 4.0]})
    >>> stacked(runs, ["loss_a", "loss_b"])[["share", "response", "loss"]].values.tolist()
    [[0.2, 'loss_a', 3.0], [0.8, 'loss_a', 2.0], [0.2, 'loss_b', 1.0], [0.8, 'loss_b', 4.0]]
    """
    import pandas as pd

    for column in responses:
        if column not in runs.columns:
            refuse_unknown(column, map(str, runs.columns), "column of the run table")
    if len(set(responses)) < max(len(responses), 2):
        raise ValueError(f"responses {', '.join(responses)}: name two or more columns, each once")
    if RESPONSE in runs.columns:
        raise ValueError(f"the table has a column {RESPONSE!r} of its own: rename it")
    marked = runs if "run_id" in runs else runs.assign(run_id=[str(i) for i in range(len(runs))])
    parts = []
    for column in responses:
        part = marked.copy()
        part[name], part[RESPONSE] = marked[column], column
        parts.append(part)
    out = pd.concat(parts, ignore_index=True)
    out.attrs = dict(runs.attrs)
    if "lines" in runs.attrs:
        lines = runs.attrs["lines"]
        out.attrs["lines"] = Lines([lines[int(label)] for label in runs.index] * len(responses))
    return out
