"""Identity is content: which fields of a value are hashed, and the hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields, replace
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")


def hashed(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that count for identity, those inside it too.

    A field added later declares ``metadata={"before": v}``, the value that runs had before it
    existed, and is hashed only when it differs from that. ``v`` may be a function of the dataclass.
    Where ``metadata["counts"]``, a function of the dataclass too, says no, it is not hashed at all.
    """
    counted: dict[str, Any] = {}
    kind: Any = type(value)
    for name, before, counts in _plan(kind):
        v = getattr(value, name)
        if before is not MISSING and (v == _before(before, value) or not counts(value)):
            continue
        counted[name] = hashed(v) if hasattr(v, "__dataclass_fields__") else v
    return counted


def stated(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain values, without terse ones that say nothing.

    A field with ``metadata["terse"]`` is left out at its value from before it existed, which
    :func:`as_written` gives it back.
    """
    kind: Any = type(value)
    quiet = {f.name: f.metadata["before"] for f in fields(kind) if f.metadata.get("terse")}
    return {k: v for k, v in asdict(value).items() if k not in quiet or v != quiet[k]}


def as_written(kind: type[T], values: Mapping[str, Any]) -> T:
    """``kind(**values)``; fields added since they were written have their value from before."""
    made: Any = kind(**values)
    added = {
        name: _before(before, made)
        for name, before, _ in _plan(cast(Any, kind))
        if before is not MISSING and name not in values
    }
    revived: T = replace(made, **added) if added else made
    return revived


def _before(before: Any, value: Any) -> Any:
    return before(value) if callable(before) else before


@cache
def _plan(kind: Any) -> tuple[tuple[str, Any, Callable[[Any], bool]], ...]:
    """The fields of a dataclass, each with its value from before it existed, and when it counts."""
    return tuple(
        (f.name, f.metadata.get("before", MISSING), f.metadata.get("counts", lambda _: True))
        for f in fields(kind)
    )


def digest(value: dict[str, Any]) -> str:
    """16 hexadecimal digits of SHA-256 over the canonical JSON of ``value``."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
