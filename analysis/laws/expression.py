"""A formula as a tree: parsed without running any of it as Python, evaluated with derivatives."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TypeAlias

import numpy as np

from analysis.laws.base import Array
from analysis.laws.own import symbol

DEEPEST = 100
"""Levels of a formula's tree, which is read and differentiated level by level."""

ONE = 1.0
"""The derivative of a parameter by itself."""

Slope: TypeAlias = Array | float
Slopes: TypeAlias = dict[str, Slope]
Dual: TypeAlias = tuple[Array, Slopes]
"""A value and its derivatives by the parameters that it depends on."""


@dataclass(frozen=True)
class Bracket:
    """What stands in brackets behind a parameter: ``E[family]``, or ``E[~family]`` if pooled."""

    column: str
    pooled: bool


def parsed(text: str) -> tuple[ast.expr, dict[str, Bracket]]:
    """The tree of a formula's right-hand side, and what stands in brackets behind a parameter.

    The tree has no brackets, and nothing else that is not allowed.

    Raises
    ------
    ValueError
        If it cannot be read, is nested too deep or holds what a formula may not, or a parameter
        stands with different brackets.
    """
    right = text.rpartition("=")[2]
    try:
        tree = ast.parse(right.replace("^", "**").strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(
            f"the formula {text!r} cannot be read ({error.msg}); "
            "write, for example, 'L = E + A / num_params**alpha'"
        ) from None
    except (RecursionError, MemoryError):
        raise _too_deep(text) from None
    if _depth(tree) > DEEPEST:
        raise _too_deep(text)
    brackets = _Brackets(text)
    tree = brackets.visit(tree)
    _check(tree, text)
    for name in names_in(tree):
        if name in brackets.found and brackets.bare(tree, name):
            column = brackets.found[name].column
            raise ValueError(
                f"the formula {text!r} has {name} without [{column}] too; write it with the "
                "brackets everywhere, or give the one without them another name"
            )
    return tree, brackets.found


class _Brackets(ast.NodeTransformer):
    """Takes the brackets off, and keeps what stood in them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: dict[str, Bracket] = {}
        self.taken: set[int] = set()

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match node:
            case ast.Subscript(
                value=ast.Name() as name, slice=ast.UnaryOp(op=ast.Invert(), operand=inside)
            ):
                pooled = True
            case ast.Subscript(value=ast.Name() as name, slice=inside):
                pooled = False
            case _:
                raise self._refusal(node)
        match inside:
            case ast.Name(id=column):
                pass
            case ast.Constant(value=str(column)):
                pass
            case _:
                raise self._refusal(node)
        bracket = Bracket(column, pooled)
        if self.found.setdefault(name.id, bracket) != bracket:
            raise ValueError(
                f"the formula {self.text!r} has {name.id} with two different brackets; give one "
                "of them another name"
            )
        self.taken.add(id(name))
        return name

    def _refusal(self, node: ast.expr) -> ValueError:
        return ValueError(
            f"the formula {self.text!r} has {ast.unparse(node)!r}, which is not allowed; in "
            "brackets behind a parameter stands the name of a column of groups, as in E[family]"
        )

    def bare(self, tree: ast.expr, name: str) -> bool:
        """Whether a parameter with brackets stands in the tree without them too."""
        return any(
            isinstance(n, ast.Name) and n.id == name and id(n) not in self.taken
            for n in ast.walk(tree)
        )


def _too_deep(text: str) -> ValueError:
    return ValueError(
        f"the formula {text[:40] + ' ...'!r} is nested too deep: at most {DEEPEST} terms or "
        "parentheses in each other; write fewer"
    )


def _depth(tree: ast.expr) -> int:
    """The number of levels of the tree."""
    depth, level = 0, [*ast.iter_child_nodes(tree)]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def names_in(tree: ast.expr) -> list[str]:
    """The names of inputs and parameters, each once, in the order of the text."""
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called]
    return list(dict.fromkeys(n.id for n in sorted(found, key=lambda n: n.col_offset)))


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return
        case ast.Name():
            return
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow()):
            _check(node.left, text)
            _check(node.right, text)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            _check(node.operand, text)
        case ast.Call(func=ast.Name(id=function), args=[argument], keywords=[]):
            if function not in FUNCTIONS:
                raise ValueError(
                    f"the formula {text!r} has the function {function!r}, which is not known; "
                    f"use {', '.join(FUNCTIONS)} of one argument"
                )
            _check(argument, text)
        case _:
            raise ValueError(
                f"the formula {text!r} has {ast.unparse(node)!r}, which is not allowed; use "
                f"numbers, names, + - * / ** and {', '.join(FUNCTIONS)} of one argument"
            )


def text_of(tree: ast.expr) -> str:
    """The tree as text, with 1e9 where Python would write 1000000000.0."""
    return ast.unparse(_Short().visit(copy.deepcopy(tree)))


class _Short(ast.NodeTransformer):
    """Long numbers in their short form, where no digit is lost."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        number = float(str(node.value))
        short = f"{number:g}".replace("e+0", "e").replace("e+", "e")
        return ast.Name(short) if abs(number) >= 1e6 and float(short) == number else node


def latex_of(node: ast.expr, above: int = 0) -> str:
    """The checked tree in LaTeX, in parentheses if it binds weaker than ``above``.

    0 is a sum, 1 a term after a minus, 2 a factor, 3 a base.
    """
    match node:
        case ast.Constant(value=int() | float() as number):
            short = f"{number:g}"  # 1e9 rather than 1000000000, where no digit is lost
            plain = f"{number:.12g}" if abs(number) < 1e6 or float(short) != number else short
            digits, _, power = plain.partition("e")
            times = "" if digits == "1" else rf"{digits} \cdot "
            text, binds = (f"{times}10^{{{int(power)}}}", 2) if power else (digits, 3)
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=op, operand=operand):
            text, binds = ("-" if isinstance(op, ast.USub) else "+") + latex_of(operand, 2), 0
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return rf"\sqrt{{{latex_of(argument)}}}"
        case ast.Call(func=ast.Name(id=function), args=[argument]):
            text, binds = rf"\{function}\left({latex_of(argument)}\right)", 2
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            text, binds = rf"\frac{{{latex_of(left)}}}{{{latex_of(right)}}}", 2
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            text, binds = f"{latex_of(left, 3)}^{{{latex_of(right)}}}", 2
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            text, binds = rf"{latex_of(left, 2)} \cdot {latex_of(right, 2)}", 2
        case ast.BinOp(left=left, op=op, right=right):
            sign, least = ("+", 0) if isinstance(op, ast.Add) else ("-", 1)
            text, binds = f"{latex_of(left)} {sign} {latex_of(right, least)}", 0
        case _:
            raise AssertionError("the tree was checked")
    return rf"\left({text}\right)" if binds < above else text


@lru_cache(maxsize=256)
def compiled(node: ast.expr) -> Callable[[Mapping[str, Dual]], Dual]:
    """The checked tree as a function of its names' values: forward-mode differentiation."""
    match node:
        case ast.Constant(value=int() | float() as number):
            constant: Dual = np.asarray(float(number)), {}
            return lambda values: constant
        case ast.Name(id=name):
            return itemgetter(name)
        case ast.UnaryOp(op=op, operand=operand):
            inner, sign = compiled(operand), -1.0 if isinstance(op, ast.USub) else 1.0
            return lambda values: _scaled(sign, inner(values))
        case ast.Call(func=ast.Name(id=function), args=[argument]):
            inner, call = compiled(argument), FUNCTIONS[function]
            return lambda values: _called(call, inner(values))
        case ast.BinOp(left=left, op=op, right=right):
            one, other, combined = compiled(left), compiled(right), OPERATORS[type(op)]
            return lambda values: combined(*one(values), *other(values))
        case _:
            raise AssertionError("the tree was checked")


def _scaled(sign: float, inner: Dual) -> Dual:
    value, slopes = inner
    return sign * value, {k: sign * s for k, s in slopes.items()}


def _called(call: Callable[[Array], tuple[Array, Array]], inner: Dual) -> Dual:
    value, slopes = inner
    result, slope = call(value)
    return result, {k: _times(slope, s) for k, s in slopes.items()}


def _log(x: Array) -> tuple[Array, Array]:
    return np.log(x), 1.0 / x


def _exp(x: Array) -> tuple[Array, Array]:
    value = np.exp(x)
    return value, value


def _sqrt(x: Array) -> tuple[Array, Array]:
    value = np.sqrt(x)
    return value, 0.5 / value


def _tanh(x: Array) -> tuple[Array, Array]:
    value = np.tanh(x)
    return value, 1.0 - value * value


FUNCTIONS = {"log": _log, "exp": _exp, "sqrt": _sqrt, "tanh": _tanh}
"""Functions that a formula may call, with their slopes."""


def _add(a: Array, by_a: Slopes, b: Array, by_b: Slopes) -> Dual:
    return a + b, _chain((ONE, by_a), (ONE, by_b))


def _subtract(a: Array, by_a: Slopes, b: Array, by_b: Slopes) -> Dual:
    return a - b, _chain((ONE, by_a), (-1.0, by_b))


def _multiply(a: Array, by_a: Slopes, b: Array, by_b: Slopes) -> Dual:
    return a * b, _chain((b, by_a), (a, by_b))


def _divide(a: Array, by_a: Slopes, b: Array, by_b: Slopes) -> Dual:
    value = a / b
    return value, _chain((1.0 / b if by_a else ONE, by_a), (-value / b if by_b else ONE, by_b))


def _power(a: Array, by_a: Slopes, b: Array, by_b: Slopes) -> Dual:
    value = a**b
    return value, _chain(
        (b * a ** (b - 1.0) if by_a else ONE, by_a),
        (_by_exponent(value, a) if by_b else ONE, by_b),
    )


OPERATORS = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.Pow: _power,
}


def _by_exponent(value: Array, base: Array) -> Array:
    """The derivative of ``base ** b`` by b: 0, its limit, where the base and so the power is 0."""
    slope: Array = value * np.log(base)
    return np.where(value == 0.0, 0.0, slope)


def _chain(*terms: tuple[Slope, Slopes]) -> Slopes:
    out: Slopes = {}
    for factor, slopes in terms:
        for name, slope in slopes.items():
            part = _times(factor, slope)
            out[name] = out[name] + part if name in out else part
    return out


def _times(factor: Slope, slope: Slope) -> Slope:
    """The product; most factors are 1, and need no array."""
    return slope if factor is ONE else factor if slope is ONE else factor * slope
