"""Tables in JSON: one object a line, or one document of rows, columns or nested runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling.table_file.packed import text_of

Row = dict[str, Any]

SERIES = 3
"""Numbers from which lists of one length are the columns of a curve, not settings."""

_OF_CONFIG = {"value", "desc"}
"""What W&B's configurations have in a value's stead."""
_TRAINER = {"log_history", "global_step"}
"""Names in the state that Hugging Face's Trainer keeps beside a checkpoint."""

_SETS = {"train", "training", "val", "valid", "validation", "eval", "test", "dev"}
"""Names of lists that are one run's."""

_TENSORBOARD = ("Wall time", "Step", "Value")
"""Names of the three numbers of a point in what TensorBoard's page exports as JSON."""


def json_objects(path: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a file of JSON Lines, with their lines; blank lines are nothing.

    Raises
    ------
    ValueError
        At a line that is no object.
    """
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=_whole)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error.msg})") from None
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        except RecursionError:
            raise ValueError(
                f"{path}: line {number} is nested too deep; a row is a flat JSON object"
            ) from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is not a JSON object")
        yield number, row


def json_value(path: Path) -> Any:
    """The value in a file of JSON.

    Raises
    ------
    ValueError
        If it is none; with the line.
    """
    text = text_of(path)
    try:
        return json.loads(text, parse_int=_whole)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and (values := _one_by_one(text)):
            return values
        raise ValueError(f"{path}: line {error.lineno} is not JSON ({error.msg})") from None
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deep; a table is a list of objects") from None


def _one_by_one(text: str) -> list[Any]:
    """The objects of a text that has one after the other, as ``jq`` writes them; else none."""
    decoder = json.JSONDecoder(parse_int=_whole)
    values, at = [], 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            at += len(text[at:]) - len(text[at:].lstrip())
    except ValueError:
        return []
    return values if all(isinstance(one, dict) for one in values) else []


def json_rows(path: Path) -> list[Row]:
    """The rows of a JSON document, flat, nested names joined by dots.

    A list of objects has one row each; so has an object of objects that share a name, with its
    keys as ``name``, and the one list in an object, whose other values stand in each row. A list
    within a row (a history) makes a row of each of its objects; so do several lists of numbers
    of one length. An object of lists has them as columns.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    rows = list(_rows(json_value(path)))
    if not rows:
        raise ValueError(f"{path}: there is no list of objects in it; a table has one a run")
    return rows


def flat(row: Mapping[str, Any], prefix: str = "") -> Row:
    """A row without mappings in it: their names are joined by dots.

    >>> flat({"model": {"params": 7}, "loss": 3.1})
    {'model.params': 7, 'loss': 3.1}
    """
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and "value" in value and set(value) <= _OF_CONFIG:
            found[f"{prefix}{name}"] = value["value"]
        elif isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}."))
        elif _is_pairs(value):
            key = "key" if "key" in value[0] else "name"
            found.update(flat({str(o[key]): o["value"] for o in value}, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _rows(value: Any) -> Iterable[Row]:
    if isinstance(value, list):
        return _rows_of_list(value)
    if not isinstance(value, Mapping) or not value:
        return []
    if set(value) >= _TRAINER and _is_objects(
        value["log_history"]
    ):  # its other values are of the last step, or settings
        return [flat(row) for row in value["log_history"]]
    inner = list(value.values())
    if {"schema", "data"} == set(value):  # pandas, orient="table"
        return _rows(value["data"])
    if {"columns", "data"} <= set(value):  # pandas, orient="split"
        return [dict(zip(value["columns"], row, strict=False)) for row in value["data"]]
    if all(isinstance(one, Mapping) for one in inner):
        if all(_is_numbered(one) for one in inner):  # pandas, orient="columns"
            return _columns({name: list(one.values()) for name, one in value.items()})
        if set.intersection(*map(set, inner)):
            return [row for name, one in value.items() for row in expanded({"name": name, **one})]
    if len(inner) > 1 and all(map(_is_objects, inner)) and not {*value} <= _SETS:  # runs by name
        return [
            row
            for name, one in value.items()
            for row in _rows_of_list([{"name": name, **each} for each in one])
        ]
    if all(isinstance(one, list) and not _is_objects(one) for one in inner):
        return _columns(value)
    return expanded(value)


def _rows_of_list(values: list[Any]) -> list[Row]:
    if values and all(isinstance(one, list) for one in values):
        names, *rows = values
        if _are_points(values):
            names, rows = list(_TENSORBOARD), values
        if all(isinstance(name, str) for name in names) and all(
            len(row) == len(names) for row in rows
        ):
            return [dict(zip(names, row, strict=True)) for row in rows]
    if all(isinstance(one, Mapping) for one in values):
        return [row for one in values for row in expanded(one)]
    return []


def _are_points(values: list[Any]) -> bool:
    """Whether each has a time, in seconds since 1970, a step and a value."""
    numbers = all(isinstance(one, int | float) for row in values for one in row)
    return numbers and all(len(row) == 3 and 1e9 < row[0] < 1e10 for row in values)


def expanded(row: Mapping[str, Any]) -> list[Row]:
    """The row as one for each object of the list that it has, if it has one."""
    plain = flat(row)
    series = {name: value for name, value in plain.items() if _is_series(value)}
    if len(series) > 1 and len({len(values) for values in series.values()}) == 1:
        rest = {name: value for name, value in plain.items() if name not in series}
        return [{**rest, **one} for one in _columns(series)]
    lists = [name for name, value in plain.items() if _is_objects(value)]
    if len(lists) != 1:
        return [plain]
    inner = plain.pop(lists[0])
    return [{**plain, **one} for part in inner for one in expanded(part)]


def _columns(columns: Mapping[str, list[Any]]) -> list[Row]:
    """Rows of columns, where these are of one length."""
    if len({len(values) for values in columns.values()}) != 1:
        return []
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _is_pairs(value: Any) -> bool:
    """Whether it is a list of names and values, as MLflow's server answers."""
    return _is_objects(value) and (
        all({"key", "value"} <= set(one) for one in value)
        or all({"name", "value"} == set(one) for one in value)
    )


def _is_series(value: Any) -> bool:
    """Whether it is a list of numbers as long as a curve may be."""
    return (
        isinstance(value, list)
        and len(value) >= SERIES
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )


def _is_numbered(value: Mapping[str, Any]) -> bool:
    return [*value] == [str(i) for i in range(len(value))]


def _whole(text: str) -> int:
    """A JSON integer, where a float can hold it."""
    if math.isinf(float(text)):
        raise ValueError(
            f"the number {text[:9]}... has {len(text)} digits; the largest is 1.8e308, and "
            "unknown values are left empty"
        )
    return int(text)
