"""What runs were told: the options that differ among them, as columns of the run table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import chain
from typing import Any

from scaling import COLUMNS
from scaling.families import FAMILIES


def differing(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options of each run that differ among all, by name, in the order of the runs.

    Parameters
    ----------
    told : sequence of mapping
        What each run was told, from :func:`settings`.

    Returns
    -------
    list of dict
        As long as ``told``; what the run table has as a column of its own (``seed``, ``lr``, ...)
        is left out, a default that some runs leave out is filled in.

    Examples
    --------
    >>> specs = [{"model": {"width": w, "depth": 2}, "optim": {"beta2": 0.95}} for w in (16, 32)]
    >>> differing([settings(spec) for spec in specs])
    [{'width': 16}, {'width': 32}]
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(told)) if name not in COLUMNS]
    shown = [name for name in names if _differs([row.get(name) for row in told])]
    families = [str(row.get("family", "")) for row in told]
    defaults = {family: _left_as_they_are(family) for family in {*families}}
    rows = []
    for row, family in zip(told, families, strict=True):
        left = defaults[family]
        there = (name for name in shown if name in row or name in left)
        rows.append({name: row[name] if name in row else left[name] for name in there})
    return rows


def settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a resolved spec by name, those of its parts (``model``, ...) among them.

    Numbers and texts as they are, lists as JSON; what is None is left out.
    """
    return dict(_settings(spec))


def _left_as_they_are(family: str) -> dict[str, Any]:
    """The defaults of a family of ours, which a spec may leave out."""
    if family not in FAMILIES:
        return {}
    told = {f.name: f.default for f in fields(FAMILIES[family].config)}
    return settings({k: v for k, v in told.items() if v is not MISSING})


def _settings(spec: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        elif value is not None:
            yield name, json.dumps(value) if isinstance(value, list | tuple) else value


def _differs(values: Sequence[Any]) -> bool:
    """Whether values differ, true and 1 among them; NaN is equal to itself."""
    first = _kind(values[0])
    return any(value is not values[0] and _kind(value) != first for value in values)


def _kind(value: Any) -> tuple[type, Any]:
    """What is equal where values are, true and 1 apart, and NaN equal to itself."""
    return type(value), value if value == value else "nan"
