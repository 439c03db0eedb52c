"""Which fields of a value have an effect: declared beside each, by what other fields say.

``metadata=read_where(schedule=("wsd",))`` says that a field is read where the field ``schedule``
is ``wsd``, ``read_unless(depth=0)`` that it is read but where ``depth`` is 0. Elsewhere the field
stands at its default, so that runs that are equal have one identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar, cast

from scaling.base.typed import convert

T = TypeVar("T")


@dataclass(frozen=True)
class ReadBy:
    """A field is read where ``option``, another one, is among ``values``, or is not."""

    option: str
    values: tuple[Any, ...]
    among: bool = True

    def holds(self, value: Any) -> bool:
        """Whether it is so in ``value``."""
        return (getattr(value, self.option) in self.values) is self.among

    def __str__(self) -> str:
        *most, last = map(str, self.values)
        listed = f"{', '.join(most)} or {last}" if most else last
        return f"where {self.option} is {'' if self.among else 'not '}{listed}"


def read_where(**options: tuple[Any, ...]) -> dict[str, Any]:
    """Metadata of a field that is read where each option has one of its values."""
    return {"read_by": tuple(ReadBy(name, values) for name, values in options.items())}


def read_unless(**options: Any) -> dict[str, Any]:
    """Metadata of a field that is read where no option has its value."""
    return {"read_by": tuple(ReadBy(name, (value,), False) for name, value in options.items())}


@dataclass(frozen=True)
class Unread:
    """An option that was given and that nothing reads, since ``by.option`` is ``found``."""

    name: str
    value: Any
    default: Any
    by: ReadBy
    found: Any

    def __str__(self) -> str:
        return (
            f"{self.name} {self.value} has no effect: it is read {self.by}, and {self.by.option} "
            f"is {self.found}: leave {self.name} out, or change {self.by.option}"
        )


def unread(value: Any, options: Mapping[str, Any]) -> list[Unread]:
    """Those of ``options`` that ``value``, which was made of them, does not read."""
    return [
        Unread(name, convert(declared, name, options[name]), default, by, getattr(value, by.option))
        for name, declared, default, by in _unread(value)
        if name in options
    ]


def as_read(value: T) -> T:
    """``value`` with the fields that nothing reads at their defaults."""
    off = {n: default for n, _, default, _ in _unread(value) if getattr(value, n) != default}
    read: T = replace(cast(Any, value), **off) if off else value
    return read


def _unread(value: Any) -> list[tuple[str, str, Any, ReadBy]]:
    """Name, type, default and first unmet condition of each field that nothing reads."""
    kind: Any = type(value)
    return [
        (name, declared, default, unmet)
        for name, declared, default, read_by in _plan(kind)
        if (unmet := next((by for by in read_by if not by.holds(value)), None))
    ]


@cache
def _plan(kind: Any) -> tuple[tuple[str, str, Any, tuple[ReadBy, ...]], ...]:
    """Name, type, default and conditions of the fields that are not always read."""
    found = []
    for f in fields(kind):
        if read_by := f.metadata.get("read_by"):
            assert f.default is not MISSING, f"{kind.__name__}.{f.name} is not always read"
            found.append((f.name, str(f.type), f.default, read_by))
    return tuple(found)
