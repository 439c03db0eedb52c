"""Row filters for ``--where`` and ``--filter``: a small, safe language over the columns.

Comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic, parentheses, numbers, text and column
names; a name with spaces goes between backticks. No calls, attributes or subscripts, so that a
filter can only look at the table.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_NAMES = {"true": True, "false": False}


def rows_where(frame: pd.DataFrame, expression: str) -> NDArray[np.bool_]:
    """The mask ``(n_rows,)`` of the rows of ``frame`` for which ``expression`` holds.

    A comparison with a missing value is false, ``!=`` true. Raises ``ValueError`` that names the
    part of the expression which is not understood.

    >>> import pandas as pd
    >>> rows_where(pd.DataFrame({"n": [1, 20], "family": ["a", "b"]}), "n > 5 and family == 'b'")
    array([False,  True])
    """
    quoted = re.findall(r"`([^`]*)`", expression)
    text = expression
    for i, name in enumerate(quoted):
        text = text.replace(f"`{name}`", f" __column_{i} ", 1)
    try:
        return _rows(frame, expression, text.strip(), quoted)
    except (RecursionError, MemoryError):
        raise ValueError(
            f"--where {expression[:40] + ' ...'!r} is nested too deep ({len(expression)} "
            "characters); write fewer terms, such as seed in [0, 1, 2]"
        ) from None


def _rows(frame: pd.DataFrame, expression: str, text: str, quoted: list[str]) -> NDArray[np.bool_]:
    """``rows_where`` of ``text``, in which the ``quoted`` names have stand-ins."""
    import numpy as np

    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(
            f"--where {expression!r} cannot be read ({error.msg}); "
            "write, for example, \"num_params > 1e6 and family == 'transformer'\""
        ) from None
    aliases = {f"__column_{i}": name for i, name in enumerate(quoted)}
    evaluate = _Evaluator(frame, expression, aliases)
    try:
        result = np.asarray(_truth(evaluate(tree)))
    except (TypeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"--where {expression!r} cannot be computed: {error}") from None
    if result.ndim == 0:
        raise ValueError(f"--where {expression!r} names no column, so it cannot choose rows")
    return result.astype(bool)


class _Evaluator:
    """Evaluates the whitelisted nodes of one expression over one table."""

    def __init__(self, frame: pd.DataFrame, expression: str, aliases: dict[str, str]) -> None:
        self.frame, self.expression, self.aliases = frame, expression, aliases

    def __call__(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | float() | str() as value):
                return value
            case ast.Constant(value=int() as value):
                return float(value)  # so that 9**9**9 overflows instead of running for ever
            case ast.Name():
                return self._column(self.aliases.get(node.id, node.id))
            case ast.List() | ast.Tuple():
                raise TypeError("a list is no condition; write, for example, seed in [0, 1]")
            case ast.UnaryOp(op=ast.Not()):
                return ~_truth(self(node.operand))
            case ast.UnaryOp(op=ast.USub()):
                return -self(node.operand)
            case ast.BoolOp():
                parts = [_truth(self(value)) for value in node.values]
                joined = parts[0]
                for part in parts[1:]:
                    joined = joined & part if isinstance(node.op, ast.And) else joined | part
                return joined
            case ast.BinOp() if type(node.op) in _BINARY:
                return _BINARY[type(node.op)](self(node.left), self(node.right))
            case ast.Compare():
                return self._compare(node)
            case _:
                raise ValueError(
                    f"--where {self.expression!r}: {ast.unparse(node)!r} is not allowed; "
                    "use comparisons, and, or, not, in, arithmetic and column names"
                )

    def _column(self, name: str) -> Any:
        if name in self.frame.columns:
            return self.frame[name]
        if name.lower() in _NAMES:
            return _NAMES[name.lower()]
        columns = [str(c) for c in self.frame.columns]
        near = get_close_matches(name, columns, n=1)
        hint = f"do you mean {near[0]!r}?" if near else f"the columns are {', '.join(columns)}"
        raise ValueError(f"--where {self.expression!r}: there is no column {name!r}; {hint}")

    def _compare(self, node: ast.Compare) -> Any:
        result: Any = True
        left = self(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn) and isinstance(part, ast.List | ast.Tuple):
                right: Any = [self(item) for item in part.elts]
            else:
                right = self(part)
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(right, list) or not hasattr(left, "isin"):
                    raise ValueError(
                        f"--where {self.expression!r}: 'in' needs a column on its left and a "
                        "list on its right, such as seed in [0, 1]"
                    )
                step = left.isin(right)
                step = ~step if isinstance(op, ast.NotIn) else step
            elif type(op) in _COMPARE:
                step = _COMPARE[type(op)](left, right)
            else:
                raise ValueError(f"--where {self.expression!r}: use == or != instead of 'is'")
            result = step & result
            left = right
        return result


def _truth(value: Any) -> Any:
    """``value`` as a condition: missing is false, a number is true unless zero."""
    import numpy as np

    if hasattr(value, "fillna"):
        if value.dtype == bool:
            return value
        return value.map(is_true).astype(bool)
    return np.bool_(value)


def is_true(value: Any) -> bool:
    """Whether one value counts as true: text by its word, missing is false."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "yes", "1"}
    return bool(value == value and value)  # NaN is not itself
