"""Arithmetic in text, such as ``12*depth*width**2``, worked out without running it as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "log": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
    "min": min,
    "max": max,
}
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
LONGEST = 500  # characters
LARGEST = 1e30  # no count is larger; powers of powers would not end


@dataclass(frozen=True)
class Arithmetic:
    """A formula: numbers, names, ``+ - * / // % **``, parentheses and ``FUNCTIONS``.

    A name may have dots (``model.width``).

    Raises
    ------
    ValueError
        When it is made of text that is none.

    Examples
    --------
    >>> formula = Arithmetic("12 * depth * width**2")
    >>> formula.names, formula.value({"depth": 2, "width": 8})
    (('depth', 'width'), 1536)
    """

    text: str

    def __post_init__(self) -> None:
        _check(self._tree, self.text)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What it asks for, in order."""
        return tuple(dict.fromkeys(_names(self._tree)))

    def value(self, values: Mapping[str, Any]) -> float:
        """Its value; an int where only whole numbers go in and no ``/`` stands between them.

        Raises
        ------
        ValueError
            If a name has no number, or the result is none.
        """
        try:
            found = _value(self._tree, values)
        except KeyError as error:
            raise ValueError(f"{self.text!r} needs {error.args[0]}, which is not set") from None
        except (ArithmeticError, TypeError) as error:
            raise ValueError(f"{self.text!r}: {error}") from None
        if isinstance(found, complex) or not math.isfinite(found):
            raise ValueError(f"{self.text!r} gives {found}, which is no number")
        number: float = found
        return number

    @cached_property
    def _tree(self) -> ast.expr:
        if len(self.text) > LONGEST:
            raise ValueError(f"a formula of {len(self.text)} characters: the limit is {LONGEST}")
        try:
            return ast.parse(self.text.replace("^", "**").strip(), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError):
            raise ValueError(
                f"{self.text!r} cannot be read as arithmetic: write it as 12*depth*width**2"
            ) from None


def _check(node: ast.expr, text: str) -> None:
    """Refuse what is no arithmetic."""
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return None
        case ast.Name() | ast.Attribute() if _dotted(node):
            return None
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=inner):
            return _check(inner, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY or isinstance(
            op, ast.Pow
        ):
            _check(left, text)
            return _check(right, text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            for inner in args:
                _check(inner, text)
            return None
    part = ast.unparse(node)
    allowed = f"numbers, names, + - * / // % **, {', '.join(FUNCTIONS)}"
    raise ValueError(f"{text!r}: {part!r} is not understood; it may have {allowed}")


def _dotted(node: ast.expr) -> str:
    """The name that a node is, with dots; empty for another."""
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.expr) -> Iterator[str]:
    if name := _dotted(node):
        yield name
        return
    parts = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for part in parts:
        if isinstance(part, ast.expr):
            yield from _names(part)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=number):
            return number
        case ast.Name() | ast.Attribute():
            name = _dotted(node)
            found = values[name]
            if isinstance(found, bool) or not isinstance(found, int | float):
                raise TypeError(f"{name} is {found!r}, which is no number")
            return found
        case ast.UnaryOp(op=op, operand=inner):
            inside = _value(inner, values)
            return -inside if isinstance(op, ast.USub) else inside
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, values), _value(right, values))
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_value(inner, values) for inner in args))
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _power(base: Any, exponent: Any) -> Any:
    if base and abs(exponent) * abs(math.log(abs(base))) > math.log(LARGEST):
        raise OverflowError(f"{base}**{exponent} is beyond {LARGEST:g}")
    return base**exponent
