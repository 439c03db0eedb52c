"""Row filters and columns by expression: a small, safe language over the columns.

``--where`` and ``--filter`` take comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic,
parentheses, numbers, text, column names and ``log exp sqrt log10 log2 abs`` of one argument; a
name with spaces goes between backticks. ``--loss-col '1 - miou'`` is of the same language. No other
calls, no attributes or subscripts, so that an expression can only look at the table.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
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
FUNCTIONS = ("log", "exp", "sqrt", "log10", "log2", "abs")


def rows_where(frame: pd.DataFrame, expression: str) -> NDArray[np.bool_]:
    """The mask ``(n_rows,)`` of the rows of ``frame`` for which ``expression`` holds.

    A comparison with a missing value is false, ``!=`` true. Raises ``ValueError`` that names the
    part of the expression which is not understood.

    >>> import pandas as pd
    >>> rows_where(pd.DataFrame({"n": [1, 20], "family": ["a", "b"]}), "n > 5 and family == 'b'")
    array([False,  True])
    """
    import numpy as np

    example = "\"num_params > 1e6 and family == 'transformer'\""
    result = np.asarray(_result(frame, Expression(expression, "--where", example), _truth))
    if result.ndim == 0:
        raise ValueError(f"--where {expression!r} names no column, so it cannot choose rows")
    return result.astype(bool)


def column_of(frame: pd.DataFrame, expression: str, flag: str) -> pd.Series:
    """The numbers ``(n_rows,)`` that ``expression`` is in the columns of ``frame``.

    Raises ``ValueError`` that begins with ``flag`` and names the part that is not understood.

    >>> import pandas as pd
    >>> column_of(pd.DataFrame({"miou": [0.25, 0.5]}), "1 - miou", "--loss-col").tolist()
    [0.75, 0.5]
    """
    import pandas as pd

    found = _result(frame, Expression(expression, flag, "'1 - accuracy' or 'log(ppl)'"), float_of)
    if not isinstance(found, pd.Series):
        raise ValueError(f"{flag} {expression!r} names no column; write {flag} COL, or a formula")
    return found


def float_of(value: Any) -> Any:
    """The result of an expression as numbers."""
    return value.astype(float) if hasattr(value, "astype") else value


@dataclass(frozen=True)
class Expression:
    """A text that a ``flag`` gives, and an ``example`` of what it may be."""

    text: str
    flag: str
    example: str

    @property
    def said(self) -> str:
        """As it stands on the command line."""
        return f"{self.flag} {self.text!r}"


def _result(frame: pd.DataFrame, asked: Expression, convert: Callable[[Any], Any]) -> Any:
    """What an expression is, converted."""
    import numpy as np

    quoted = re.findall(r"`([^`]*)`", asked.text)
    text = asked.text
    for i, name in enumerate(quoted):
        text = text.replace(f"`{name}`", f" __column_{i} ", 1)
    aliases = {f"__column_{i}": name for i, name in enumerate(quoted)}
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        with np.errstate(all="ignore"):
            return convert(_Evaluator(frame, asked, aliases)(tree))
    except SyntaxError as error:
        raise ValueError(
            f"{asked.said} cannot be read ({error.msg}); write, for example, {asked.example}"
        ) from None
    except (TypeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"{asked.said} cannot be computed: {error}") from None
    except (RecursionError, MemoryError):
        raise ValueError(
            f"{asked.flag} {asked.text[:40] + ' ...'!r} is nested too deep ({len(asked.text)} "
            "characters); write fewer terms, such as seed in [0, 1, 2]"
        ) from None


class _Evaluator:
    """Evaluates the whitelisted nodes of one expression over one table."""

    def __init__(self, frame: pd.DataFrame, asked: Expression, aliases: dict[str, str]) -> None:
        self.frame, self.asked, self.aliases = frame, asked, aliases

    def __call__(self, node: ast.expr) -> Any:
        import numpy as np

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
            case ast.Call(func=ast.Name(id=name), args=[part], keywords=[]) if name in FUNCTIONS:
                return getattr(np, name)(self(part))
            case ast.Compare():
                return self._compare(node)
            case _:
                raise ValueError(
                    f"{self.asked.said}: {ast.unparse(node)!r} is not allowed; use comparisons, "
                    f"and, or, not, in, arithmetic, column names, {' '.join(FUNCTIONS)} of one"
                )

    def _column(self, name: str) -> Any:
        if name in self.frame.columns:
            return self.frame[name]
        if name.lower() in _NAMES:
            return _NAMES[name.lower()]
        columns = [str(c) for c in self.frame.columns]
        near = get_close_matches(name, columns, n=1)
        hint = f"do you mean {near[0]!r}?" if near else f"the columns are {', '.join(columns)}"
        raise ValueError(f"{self.asked.said}: there is no column {name!r}; {hint}")

    def _text(self, node: ast.expr, values: Any) -> Any:
        """What stood in a column of numbers before it was read, some of it text."""
        name = self.aliases.get(node.id, node.id) if isinstance(node, ast.Name) else ""
        return self.frame.attrs.get("texts", {}).get(name, values)

    def _compare(self, node: ast.Compare) -> Any:
        result: Any = True
        left = self(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn) and isinstance(part, ast.List | ast.Tuple):
                right: Any = [self(item) for item in part.elts]
            else:
                right = self(part)
            if any(isinstance(one, str) for one in (right if isinstance(right, list) else [right])):
                left = self._text(node.left, left)
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(right, list) or not hasattr(left, "isin"):
                    raise ValueError(
                        f"{self.asked.said}: 'in' needs a column on its left and a "
                        "list on its right, such as seed in [0, 1]"
                    )
                step = left.isin(right)
                step = ~step if isinstance(op, ast.NotIn) else step
            elif type(op) in _COMPARE:
                step = _COMPARE[type(op)](left, right)
            else:
                raise ValueError(f"{self.asked.said}: use == or != instead of 'is'")
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
