"""A run's options as its program gets them: words, one file, variables of the environment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.base import as_word, fill, placeholders, write_atomic


def filled(options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with ``{name}`` in texts filled, as far as ``values`` has all their names.

    A text that is one ``{name}`` becomes that value itself.

    Examples
    --------
    >>> filled({"out": "{run_dir}/x", "steps": "{num_steps}", "form": "{epoch}.pt"},
    ...        {"run_dir": "/r", "num_steps": 7})
    {'out': '/r/x', 'steps': 7, 'form': '{epoch}.pt'}
    """
    return {name: _filled(value, values) for name, value in options.items()}


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or "{" not in value:
        return value
    try:
        names = placeholders(value)
    except ValueError:
        return value
    if not names or any(name not in values for name in names):
        return value
    return values[names[0]] if value == f"{{{names[0]}}}" else fill(value, values)


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with dotted names as values in values.

    Raises
    ------
    ValueError
        If a name is both an option and the first part of others.

    Examples
    --------
    >>> nested({"model.dim": 8, "model.layers": 2, "lr": 0.1})
    {'model': {'dim': 8, 'layers': 2}, 'lr': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in options.items():
        *parts, last = name.split(".")
        place = found
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"option {name} is inside of {part}, which is an option itself")
        if isinstance(place.get(last), dict):
            raise ValueError(f"option {name} is an option and holds others")
        place[last] = dict(value) if isinstance(value, Mapping) else value
    return found


def write_options(folder: Path, options: Mapping[str, Any], form: str) -> Path:
    """Write ``options.json`` (``.yaml``, ``.toml``) into ``folder``; its path.

    Raises
    ------
    ValueError
        If the format has no word for a value: TOML has none for null.
    """
    path = folder / f"options.{form}"
    write_atomic(path, _WRITERS[form](nested(options)))
    return path


def variables(options: Mapping[str, Any]) -> dict[str, str]:
    """``SCALING_OPTION_<NAME>`` of each option, lists and mappings as JSON.

    Examples
    --------
    >>> variables({"model.dim": 8, "flags": [1, 2]})
    {'SCALING_OPTION_MODEL_DIM': '8', 'SCALING_OPTION_FLAGS': '[1, 2]'}
    """
    return {
        f"SCALING_OPTION_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}": as_word(value)
        for name, value in options.items()
    }


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1) + "\n"


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False))


def _toml(values: Mapping[str, Any], prefix: str = "") -> str:
    tables = {k: v for k, v in values.items() if isinstance(v, Mapping)}
    plain = {k: v for k, v in values.items() if k not in tables}
    text = "".join(f"{_toml_key(k)} = {_toml_value(k, v)}\n" for k, v in plain.items())
    for key, table in tables.items():
        name = f"{prefix}{_toml_key(key)}"
        text += f"\n[{name}]\n{_toml(table, f'{name}.')}"
    return text


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _toml_value(name: str, value: Any) -> str:
    if value is None:
        raise ValueError(f"option {name} is null, and TOML has no word for it: leave it out")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml_value(name, one) for one in value)}]"
    if isinstance(value, Mapping):  # within a list
        inner = (f"{_toml_key(k)} = {_toml_value(k, v)}" for k, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, float):
        return repr(value)  # inf and nan are TOML's words too
    return json.dumps(value)  # strings, booleans and whole numbers are written as in JSON


_WRITERS = {"json": _json, "yaml": _yaml, "toml": _toml}
