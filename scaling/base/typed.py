"""Plain values from YAML, JSON or a command line as the fields of a frozen dataclass.

Equal settings must hash equally, so ``1e6``, ``1000000.0`` and ``"1000000"`` all become the
integer that the field declares.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast

from scaling.base.errors import OptionError

T = TypeVar("T")
_EXACT = {"int": int, "bool": bool, "str": str}
LARGEST_NUMBER = sys.float_info.max


def typed(kind: type[T], values: Mapping[str, Any]) -> T:
    """``kind(**values)`` with each value of the type that its field declares.

    Raises
    ------
    ValueError
        If a value cannot be of its field's type, or a field without a default is missing.
    """
    types = _field_types(cast(Any, kind))
    try:
        return kind(**{name: convert(types[name], name, value) for name, value in values.items()})
    except TypeError as error:
        raise ValueError(str(error).replace("__init__()", "settings")) from None


@cache
def _field_types(kind: Any) -> dict[str, str]:
    return {f.name: str(f.type) for f in fields(kind)}


def convert(declared: str, name: str, value: Any) -> Any:
    """``value`` as ``int``, ``float``, ``bool`` or ``str``, whichever ``declared`` says.

    What may be None is so where nothing was given.
    """
    declared = declared.removesuffix(" | None")
    if type(value) is _EXACT.get(declared):
        return finite_number(name, value) if declared == "int" else value
    if declared == "int":
        number = _number(name, value)
        if number != int(number):
            raise OptionError(f"{name} {value} is not a whole number", name)
        return int(number)
    if declared == "float":
        return float(_number(name, value))
    if declared == "bool":
        if value in (True, "true", "True"):
            return True
        if value in (False, "false", "False"):
            return False
        raise OptionError(f"{name} {value!r} is neither true nor false", name)
    if declared == "str":
        if not isinstance(value, str):
            raise OptionError(f"{name} {value!r} is not a name", name)
        return value
    return value


def _number(name: str, value: Any) -> float | int:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise OptionError(f"{name} {value!r} is not a number", name) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        if hasattr(value, "item"):
            return _number(name, value.item())
        raise OptionError(f"{name} {value!r} is not a number", name)
    return finite_number(name, value)


def finite_number(name: str, value: T) -> T:
    """``value``, a number that is finite and that a float can hold.

    Raises
    ------
    ValueError
        If it is infinite, no number, or a whole number beyond the largest float.
    """
    if not -LARGEST_NUMBER <= cast(Any, value) <= LARGEST_NUMBER:
        if isinstance(value, float):
            raise OptionError(f"{name} {value} is not finite", name)
        raise OptionError(f"{name} is too large: the limit is {LARGEST_NUMBER:.2g}", name)
    return value
