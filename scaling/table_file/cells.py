"""Objects in the cells of a table, as pandas writes the configurations of W&B's runs."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.table_file.nested import flat

if TYPE_CHECKING:
    import pandas as pd


def opened(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with a column for each value of its objects, named as in nested JSON
    (``config.params``), in place of the columns that are all objects."""
    import pandas as pd

    for name in [*frame.columns]:
        known = frame[name].dropna()
        known = known[known.astype(str) != ""] if known.dtype == object else known
        if not len(known) or not _is_object(known.iloc[0]):
            continue
        objects = known.map(value_in)
        if not objects.map(lambda one: isinstance(one, Mapping)).all():
            continue
        values = pd.DataFrame([flat({name: one}) for one in objects], index=known.index)
        others = frame.drop(columns=name)
        new = values[values.columns.difference(others.columns, sort=False)]
        found = others.join(new)
        found.attrs = frame.attrs
        frame = found
    return frame


def value_in(cell: Any) -> Any:
    """The value that a field of text holds, as JSON or as Python writes it; else the field.

    >>> value_in("{'loss': 3.5, 'seed': None}")
    {'loss': 3.5, 'seed': None}
    """
    if not isinstance(cell, str):
        return cell
    for read in (json.loads, _python):
        try:
            return read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return cell


def _is_object(cell: Any) -> bool:
    return isinstance(cell, Mapping) or (isinstance(cell, str) and cell.lstrip().startswith("{"))


def _python(text: str) -> Any:
    """A value as Python prints it, ``nan`` and ``inf`` too."""
    tree = ast.parse(text, mode="eval")

    class Numbers(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Constant(float(node.id)) if node.id in ("nan", "inf") else node

    return ast.literal_eval(Numbers().visit(tree))
