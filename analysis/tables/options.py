"""What runs were told: the options that differ among them, as columns of the run table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from scaling import COLUMNS
from scaling.families import FAMILIES


def differing(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options of each spec that differ among ``specs``, by name, in the order of the specs.

    Parameters
    ----------
    specs : sequence of mapping
        Resolved specs as plain values; their parts (``model``, ``optim``, ...) are looked into.

    Returns
    -------
    list of dict
        As long as ``specs``. Numbers and texts as they are, lists as JSON; what the run table has
        as a column of its own (``seed``, ``lr``, ...) is left out.

    Examples
    --------
    >>> specs = [{"model": {"width": w, "depth": 2}, "optim": {"beta2": 0.95}} for w in (16, 32)]
    >>> differing(specs)
    [{'width': 16}, {'width': 32}]
    """
    rows = [dict(_settings(spec)) for spec in specs]
    names = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    shown = [name for name in names if len({_kind(row.get(name)) for row in rows}) > 1]
    families = [str(spec.get("family", "")) for spec in specs]
    defaults = {family: _left_as_they_are(family) for family in {*families}}
    for row, family in zip(rows, families, strict=True):
        left = defaults[family]
        row |= {name: left[name] for name in shown if name not in row and name in left}
    return [{name: row[name] for name in shown if name in row} for row in rows]


def _left_as_they_are(family: str) -> dict[str, Any]:
    """The defaults of a family of ours, which a spec may leave out."""
    if family not in FAMILIES:
        return {}
    settings = {f.name: f.default for f in fields(FAMILIES[family].config)}
    return dict(_settings({k: v for k, v in settings.items() if v is not MISSING}))


def _settings(spec: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        elif value is not None:
            yield name, json.dumps(value) if isinstance(value, list | tuple) else value


def _kind(value: Any) -> tuple[type, Any]:
    """What is equal where values are, true and 1 apart, and NaN equal to itself."""
    return type(value), value if value == value else "nan"
