"""Runs in files: a row a run, a row a record of a run, or a column a run (a chart of W&B's)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from scaling.base import describe
from scaling.importing.found import Flat, FoundRun, flat, step_name, unwrapped
from scaling.importing.numbers import seconds_of
from scaling.schema import find_column, normalise
from scaling.table_file import (
    TABLE_SUFFIXES,
    curves_of_chart,
    is_table,
    json_objects,
    json_value,
    kind_of,
    plain_value,
    read_frame,
    value_in,
)

_IDS, _NAMES = ("id", "runid"), ("name", "runname", "displayname", "run")
_ENDS, _BORN, _TOOK = ("state", "status"), ("created", "createdat"), ("runtime", "seconds")
_NESTED = {"config": "options", "summary": "final", "summarymetrics": "final"}
_SAID = (*_IDS, *_NAMES, *_ENDS, *_BORN)


def runs_of_files(paths: Sequence[Path]) -> list[FoundRun]:
    """The runs in files that belong together: charts add curves to the runs of the tables.

    Raises
    ------
    ValueError
        If a file is of another kind or cannot be read, or a curve's run is not clear.
    """
    runs: list[FoundRun] = []
    curves: dict[str, list[Flat]] = {}
    places: dict[str, str] = {}
    for path in paths:
        rows = list(_rows(path))
        if not rows:
            raise ValueError(f"{path}: the file has no rows")
        names = list(rows[0][1])
        if charted := curves_of_chart(names):
            x = names[0]
            for name, metric, column in charted:
                records = [{x: row[x], metric: row[column]} for _, row in rows if row.get(column)]
                curves.setdefault(name, []).extend(_texts(record) for record in records)
                places.setdefault(name, f"{path.name}, column {column!r}")
        else:
            runs += _runs(path, rows)
    return _joined(runs, curves, places)


def is_export(path: Path) -> bool:
    """Whether a file is a table of runs or a chart that W&B's pages export."""
    first = next(iter(_rows(path)), None) if kind_of(path) == ".csv" else None
    return first is not None and (_is_runs_table(first[1]) or bool(curves_of_chart(list(first[1]))))


def _joined(
    runs: list[FoundRun], curves: Mapping[str, Sequence[Flat]], places: Mapping[str, str]
) -> list[FoundRun]:
    """The runs of tables with the curves of charts, and those that only charts have."""
    names = [run.name for run in runs]
    for name in curves:
        if names.count(name) > 1:
            raise ValueError(
                f"the curve of {name!r} may be of {names.count(name)} runs of that name: export "
                "the curves under ids, or give the runs names of their own"
            )
    joined = [replace(run, history=(*run.history, *curves.get(run.name, ()))) for run in runs]
    alone = [name for name in curves if name not in names]
    return joined + [
        FoundRun("wandb", name, name, places[name], history=curves[name]) for name in alone
    ]


def _rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    """The rows of a file with their places, values as they stand there."""
    if not is_table(path):
        kinds = ", ".join(TABLE_SUFFIXES)
        raise ValueError(f"{path}: runs are read from {kinds}, not {path.suffix!r}")
    if kind_of(path) == ".json":
        return [(f"{path.name}, run {i}", row) for i, row in enumerate(_array(path), 1)]
    if kind_of(path) in (".jsonl", ".ndjson"):
        try:
            return [(f"{path.name}, line {line}", row) for line, row in json_objects(path)]
        except (UnicodeDecodeError, PermissionError) as error:
            raise ValueError(f"{path}: {describe(error)}") from None
    frame = read_frame(path, as_text=True)
    lines = frame.attrs.get("lines", range(1, len(frame) + 1))
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        (
            f"{path.name}, line {line}",
            {str(k): v.tolist() if hasattr(v, "tolist") else v for k, v in row.items()},
        )
        for line, row in zip(lines, rows, strict=True)
    ]


def _array(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON file: a list, or an object of runs by name."""
    try:
        value = json_value(path)
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: {describe(error)}") from None
    value = _inside(value) if isinstance(value, dict) else value
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        value = [{"name": name, **run} for name, run in value.items()]
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: a file of runs has a list of JSON objects, one a run")
    return rows


def _inside(value: Mapping[str, Any]) -> Any:
    """The one list of objects that an object without a run's own fields has in it, else itself."""
    if any(normalise(name) in (*_NESTED, *_SAID, "history") for name in value):
        return value
    lists = [one for one in value.values() if isinstance(one, list) and one
             and all(isinstance(run, dict) for run in one)]  # fmt: skip
    deeper = [found for one in value.values() if isinstance(one, dict)
              if isinstance(found := _inside(one), list)]  # fmt: skip
    every = lists + deeper
    return every[0] if len(every) == 1 else value


def _runs(path: Path, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[FoundRun]:
    """A run a row, or a run for the rows of one id or name that are its records."""
    names = dict.fromkeys(name for _, row in rows for name in row)
    by_id, by_name = _named(names, _IDS), _named(names, _NAMES)
    label = by_id or by_name
    # Runs of one architecture may share a name and differ in tokens: these are no curve.
    x = step_name(names) or (find_column("num_tokens", list(names)) if by_id else None)
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for place, row in rows:
        groups.setdefault(str(row.get(label)) if label else place, []).append((place, row))
    if x and any(len({str(row.get(x)) for _, row in group}) > 1 for group in groups.values()):
        return [_run_of_records(group) for group in groups.values()]
    return [_run(place, row) for place, row in rows]


def _run_of_records(rows: Sequence[tuple[str, dict[str, Any]]]) -> FoundRun:
    """A run whose records are rows: what never changes among them is its configuration."""
    first = _run(*rows[0])
    records = [_texts(flat(row)) for _, row in rows]
    fixed = {
        name: value
        for name, value in first.options.items()
        if all(record.get(name) == value for record in records)
    }
    history = [{k: v for k, v in record.items() if k not in fixed} for record in records]
    return replace(first, options=fixed, history=history)


def _run(place: str, row: Mapping[str, Any]) -> FoundRun:
    """The run in a row: ``config`` and ``summary`` where it has them, else columns."""
    parts: dict[str, Flat] = {"options": {}, "final": {}}
    own: Flat = {}
    history: Sequence[Any] = ()
    for name, value in row.items():
        form = normalise(name)
        if form in _NESTED and isinstance(nested := value_in(value), Mapping):
            parts[_NESTED[form]].update(flat(unwrapped(nested)))
        elif form == "history" and isinstance(value, list):
            history = [flat(record) for record in value if isinstance(record, Mapping)]
        elif value is not None and value != "":
            own.update(flat({name: value}))
    own = _texts(own)
    is_wandb = bool(parts["options"] or parts["final"]) or _is_runs_table(row)
    ids, names = _said(own, _IDS), _said(own, _NAMES)
    rest = {k: v for k, v in own.items() if normalise(k) not in _SAID}
    return FoundRun(
        source="wandb" if is_wandb else "table",
        run=str(names if ids is None else ids) if ids or names else "",
        name=str(ids or place if names is None else names),
        place=place,
        state=str(_said(own, _ENDS) or ""),
        options={**rest, **parts["options"]},
        final=parts["final"],
        history=history,
        seconds=seconds_of(parts["final"].get("_runtime", _said(own, _TOOK))),
        born=_time(_said(own, _BORN)),
    )


def _is_runs_table(row: Mapping[str, Any]) -> bool:
    """Whether a row is of the table of runs that W&B's pages export."""
    return {"Name", "State"} <= set(row)


def _named(names: Iterable[str], forms: Sequence[str]) -> str | None:
    by_form = {normalise(name): name for name in names}
    return next((by_form[form] for form in forms if form in by_form), None)


def _said(row: Mapping[str, Any], forms: Sequence[str]) -> Any:
    name = _named(row, forms)
    return None if name is None else row[name]


def _texts(row: Mapping[str, Any]) -> Flat:
    """Fields of text that are plainly numbers, as these."""
    return {k: plain_value(v) if isinstance(v, str) else v for k, v in row.items()}


def _time(value: Any) -> float | None:
    """Seconds since 1970 of a date or of a number of them."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return seconds_of(value)
