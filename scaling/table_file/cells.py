"""Objects in the cells of a table, as ``DataFrame.to_csv`` writes the configurations of W&B's runs."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.table_file.nested import flat

if TYPE_CHECKING:
    import pandas as pd

_NO_NUMBER = re.compile(r"(?<=[:\s,\[(])(nan|-?inf)(?=\s*[,}\])])")


def opened(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with a column for each value of its objects, named as in nested JSON
    (``config.params``), in place of the columns that are all objects."""
    import pandas as pd

    for name in [*frame.columns]:
        known = frame[name].dropna()
        if not len(known) or _object(known.iloc[0]) is None:
            continue
        objects = [None if _is_missing(cell) else _object(cell) for cell in frame[name]]
        if sum(one is not None for one in objects) < len(known):
            continue
        values = pd.DataFrame([flat({name: one or {}}) for one in objects], index=frame.index)
        others = frame.drop(columns=name)
        new = values.columns.difference(others.columns, sort=False)
        found = pd.concat([others, values[new]], axis=1)
        found.attrs = frame.attrs
        frame = found
    return frame


def _is_missing(cell: Any) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and cell != cell)


def _object(cell: Any) -> Mapping[str, Any] | None:
    """The object in a cell, as JSON or Python writes it; None where there is none."""
    if isinstance(cell, Mapping):
        return cell
    text = cell.strip() if isinstance(cell, str) else ""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    for read in (json.loads, lambda text: ast.literal_eval(_NO_NUMBER.sub("None", text))):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, dict) else None
    return None
