"""A law from a formula in text, parsed and differentiated without running any of it as Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from analysis.laws.base import Array, Law
from analysis.laws.own import free_parameters, own_law, symbol
from scaling import COLUMNS

SYMBOLS = {"N": "num_params", "D": "num_tokens", "C": "flops", "U": "num_unique_tokens"}

FORMULA = "formula"
"""The name of a law from a formula."""

DEEPEST = 100
"""Levels of a formula's tree, which is read and differentiated level by level."""

Dual: TypeAlias = tuple[Array, dict[str, Array]]
"""A value and its derivatives by the parameters that it depends on."""


def formula_law(
    text: str,
    inputs: tuple[str, ...] | None = None,
    signed: tuple[str, ...] = (),
    start: Mapping[str, tuple[float, float]] | None = None,
) -> Law:
    """A law from text such as ``"L = E + A / num_params**alpha"``.

    Numbers, ``+ - * / ** ^``, parentheses and ``log exp sqrt tanh`` are allowed. Names of
    run-table columns, the letters N, D, C, U and whatever ``inputs`` lists are inputs; every
    other name is a parameter, positive unless it is in ``signed``. ``start`` gives the range in
    which starting values of a parameter are sought (default 0.03 to 2, an exponent's range);
    parameters that the law is linear in need none.

    Raises
    ------
    ValueError
        If the formula cannot be read or names nothing to fit; the message shows the part.

    Examples
    --------
    >>> law = formula_law("L = E + A / N**alpha")
    >>> law.inputs, law.names, law.linear
    (('num_params',), ('E', 'A', 'alpha'), ('E', 'A'))
    """
    left, _, right = text.rpartition("=")
    output = left.strip() or "L"
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
    if not output.isidentifier():
        raise ValueError(f"the formula {text!r} must have one name left of '='")
    _check(tree, text)
    names = list(dict.fromkeys(n.id for n in _names(tree)))
    sources = {
        name: name if name in (inputs or ()) or name in COLUMNS else SYMBOLS[name]
        for name in names
        if name in (inputs or ()) or name in COLUMNS or name in SYMBOLS
    }
    parameters = [name for name in names if name not in sources]
    if not sources or not parameters:
        raise ValueError(
            f"the formula {text!r} has {len(sources)} inputs and {len(parameters)} parameters; "
            f"inputs are N, D, C, U, columns of the run table, or names listed in inputs="
        )
    order = [*(inputs or ()), *COLUMNS]
    columns = tuple(sorted(set(sources.values()), key=order.index))

    def evaluate(params: Array, arrays: tuple[Array, ...], derivatives: bool) -> Dual:
        by_column = dict(zip(columns, arrays, strict=True))
        values: dict[str, Dual] = {name: (by_column[c], {}) for name, c in sources.items()}
        for i, name in enumerate(parameters):
            value = params[..., i, None]
            values[name] = (value, {name: np.ones_like(value)} if derivatives else {})
        with np.errstate(all="ignore"):
            return _evaluate(tree, values)

    def predict(params: Array, *arrays: Array) -> Array:
        shape = (*params.shape[:-1], arrays[0].shape[-1])
        return np.broadcast_to(evaluate(params, arrays, False)[0], shape).copy()

    def gradient(params: Array, *arrays: Array) -> Array:
        slopes = evaluate(params, arrays, True)[1]
        out = np.zeros((*params.shape, arrays[0].shape[-1]))
        for i, name in enumerate(parameters):
            if name in slopes:
                out[..., i, :] = slopes[name]
        return out

    law = own_law(
        FORMULA,
        f"{output} = {ast.unparse(tree)}",
        free_parameters(parameters, signed, start),
        columns,
        predict,
        gradient,
        output="loss" if output == "L" else output,
        latex=f"{symbol(output)} = {_latex(tree)}",
    )
    return replace(law, options=_options)


def _options(law: Law) -> dict[str, Any]:
    """``signed`` and ``start`` of ``formula_law``."""
    return {
        "signed": [p.name for p in law.parameters if p.scale == "linear"],
        "start": {p.name: list(p.start) for p in law.parameters if p.low < p.high},
    }


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


def _names(tree: ast.expr) -> list[ast.Name]:
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called]
    return sorted(found, key=lambda n: n.col_offset)


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
        case ast.Call(func=ast.Name(id="log" | "exp" | "sqrt" | "tanh"), args=[argument]):
            _check(argument, text)
        case _:
            raise ValueError(
                f"the formula {text!r} has {ast.unparse(node)!r}, which is not allowed; use "
                "numbers, names, + - * / ** and log, exp, sqrt, tanh of one argument"
            )


def _latex(node: ast.expr, above: int = 0) -> str:
    """The checked tree in LaTeX, in parentheses if it binds weaker than ``above``.

    0 is a sum, 1 a term after a minus, 2 a factor, 3 a base.
    """
    match node:
        case ast.Constant(value=int() | float() as number):
            digits, _, power = f"{number:.12g}".partition("e")
            text, binds = (rf"{digits} \cdot 10^{{{int(power)}}}", 2) if power else (digits, 3)
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=op, operand=operand):
            text, binds = ("-" if isinstance(op, ast.USub) else "+") + _latex(operand, 2), 0
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return rf"\sqrt{{{_latex(argument)}}}"
        case ast.Call(func=ast.Name(id=function), args=[argument]):
            text, binds = rf"\{function}\left({_latex(argument)}\right)", 2
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            text, binds = rf"\frac{{{_latex(left)}}}{{{_latex(right)}}}", 2
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            text, binds = f"{_latex(left, 3)}^{{{_latex(right)}}}", 2
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            text, binds = rf"{_latex(left, 2)} \cdot {_latex(right, 2)}", 2
        case ast.BinOp(left=left, op=op, right=right):
            sign, least = ("+", 0) if isinstance(op, ast.Add) else ("-", 1)
            text, binds = f"{_latex(left)} {sign} {_latex(right, least)}", 0
        case _:
            raise AssertionError("the tree was checked")
    return rf"\left({text}\right)" if binds < above else text


def _evaluate(node: ast.expr, values: Mapping[str, Dual]) -> Dual:
    """Forward-mode differentiation over the checked tree."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.asarray(float(number)), {}
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=op, operand=operand):
            value, slopes = _evaluate(operand, values)
            sign = -1.0 if isinstance(op, ast.USub) else 1.0
            return sign * value, {k: sign * s for k, s in slopes.items()}
        case ast.Call(func=ast.Name(id=function), args=[argument]):
            value, slopes = _evaluate(argument, values)
            result, slope = _function(function, value)
            return result, {k: slope * s for k, s in slopes.items()}
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _evaluate(left, values), _evaluate(right, values))
        case _:
            raise AssertionError("the tree was checked")


def _function(name: str, x: Array) -> tuple[Array, Array]:
    match name:
        case "log":
            return np.log(x), 1.0 / x
        case "exp":
            value = np.exp(x)
            return value, value
        case "sqrt":
            value = np.sqrt(x)
            return value, 0.5 / value
        case _:
            value = np.tanh(x)
            return value, 1.0 - value * value


def _binary(op: ast.operator, left: Dual, right: Dual) -> Dual:
    (a, by_a), (b, by_b) = left, right
    match op:
        case ast.Add():
            return a + b, _chain((1.0, by_a), (1.0, by_b))
        case ast.Sub():
            return a - b, _chain((1.0, by_a), (-1.0, by_b))
        case ast.Mult():
            return a * b, _chain((b, by_a), (a, by_b))
        case ast.Div():
            value = a / b
            return value, _chain((1.0 / b, by_a), (-value / b, by_b))
        case _:
            value = a**b
            return value, _chain(
                (b * a ** (b - 1.0) if by_a else 0.0, by_a),
                (value * np.log(a) if by_b else 0.0, by_b),
            )


def _chain(*terms: tuple[Array | float, dict[str, Array]]) -> dict[str, Array]:
    out: dict[str, Array] = {}
    for factor, slopes in terms:
        for name, slope in slopes.items():
            out[name] = out[name] + factor * slope if name in out else factor * slope
    return out
