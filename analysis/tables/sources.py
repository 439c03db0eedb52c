"""From where runs are kept to the run table: a file, a sweep's journals, or an MLflow experiment.

This is the only reader of MLflow in ``analysis``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.reading import (
    Note,
    Reading,
    complete,
    flagged,
    read_table,
    refuse_faults,
    tables_in,
)
from analysis.tables.selection import select
from analysis.tables.where import column_of
from scaling import (
    COLUMN_FLAGS,
    COLUMNS,
    CURVE_COLUMNS,
    EVAL_PREFIX,
    PLANNED_COLUMNS,
    RUN_COLUMNS,
    TABLE_SUFFIXES,
    RunSpec,
    is_table,
    read_any_spec,
)
from scaling.base import Store, read_json, refuse_unknown
from scaling.run import (
    SPEC,
    SWEEP_FILE,
    LineError,
    end,
    evaluations,
    known_sweeps,
    numbered_rows,
    points,
    read_journal,
    sweep_path,
    trained_columns,
)
from scaling.tracking import connect, curve_metrics, has_experiment, spec_of, stored_runs

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = tuple(c.name for c in RUN_COLUMNS if c.kind in ("int", "float"))
_TEXTS = tuple(c.name for c in RUN_COLUMNS if c.kind == "str")
_NO_COLUMNS = ("spec", "resources", "keep")  # of a line of a sweep's file
_OPTIONS = "options."  # before the names of a program's options among the params of a run
_KEPT_APART = ("time", "tokens", "step")  # of a journal's line: no columns
Source = str | os.PathLike[str]


def load_runs(
    source: Source,
    *,
    root: Source | None = None,
    tracking_uri: str | None = None,
    where: str | None = None,
    columns: Mapping[str, str] | None = None,
    how: Reading | None = None,
) -> pd.DataFrame:
    """The run table of ``source``, one row per run, failed and planned runs included.

    Parameters
    ----------
    source : str or path
        A file (``.csv``, ``.jsonl``, ``.parquet``, ``.xlsx``, ... , packed or not), a sweep's
        name or folder, a folder of runs or of one table a run, or the name of an MLflow
        experiment, tried in this order.
    root : path, optional
        Where sweeps and runs are kept; default ``$SCALING_HOME`` or ``~/.scaling``.
    tracking_uri : str, optional
        The tracking store; naming one reads ``source`` as an experiment in it.
    where : str, optional
        Keeps the rows for which this expression holds (see ``analysis/tables/where.py``).
    columns : mapping, optional
        Run-table column -> the column to take for it, such as ``loss`` -> ``error``, or a
        formula in columns, such as ``loss`` -> ``1 - accuracy``.
    how : Reading, optional
        What else is asked of the reading, and which rows are meant.

    Returns
    -------
    DataFrame
        The columns of ``scaling/schema.py`` (and a file's own). ``exclude_reason`` is empty for
        a run that can be used. ``attrs["notes"]`` lists what a reader should know.

    Raises
    ------
    ValueError
        If ``source`` is none of these, or its content cannot be read.
    FileNotFoundError
        If ``source`` looks like a path and there is nothing.

    Examples
    --------
    >>> runs = load_runs("runs.csv", where="seed == 0")  # doctest: +SKIP
    """
    kind, place = _locate(source, root, tracking_uri)
    how = how or Reading()
    if kind == "file":
        frame = read_table(Path(place), columns, how)
    else:
        if kind == "experiment":
            frame = _experiment_runs(str(place), tracking_uri, root)
        else:
            frame = _run_table(_journal_rows(kind, place, root))
        for name, column in (columns or {}).items():
            if column.isidentifier() and column not in frame.columns:
                refuse_unknown(column, map(str, frame.columns), f"column of {kind} {source}")
            if column != name:
                plainly = column in frame.columns
                frame[name] = (
                    frame[column] if plainly else column_of(frame, column, COLUMN_FLAGS[name])
                )
                said = f"{name} is {f'the column {column!r}' if plainly else column}"
                frame.attrs["notes"].append(Note(said, name, taken=True))
    frame = select(frame, where, how)
    frame.attrs["notes"].extend(flagged(frame))
    return frame


def is_file(source: Source, *, root: Source | None = None, tracking_uri: str | None = None) -> bool:
    """Whether ``source`` is a table in files, whose rows are final losses as a rule."""
    return _locate(source, root, tracking_uri)[0] == "file"


def load_curves(
    source: Source,
    *,
    root: Source | None = None,
    tracking_uri: str | None = None,
    columns: Mapping[str, str] | None = None,
    how: Reading | None = None,
) -> pd.DataFrame:
    """The learning curves of ``source``: one row per point, ``run_id``, ``step``, ``loss``, ...

    ``source`` is as for :func:`load_runs`. In a file, rows that share a run id (or a name, if
    it has no ids) are the points of one curve and ``num_tokens`` is their ``step``; ``columns``
    and ``how`` are as for :func:`load_runs`.
    """
    import pandas as pd

    kind, place = _locate(source, root, tracking_uri)
    names = [column.name for column in CURVE_COLUMNS]
    if kind == "file":
        table = read_table(Path(place), columns, how or Reading())
        refuse_faults(table)
        label = next((name for name in ("run_id", "name") if name in table.columns), None)
        if label is None or not {"num_tokens", "loss"} <= set(table.columns):
            raise ValueError(
                f"{place}: learning curves need a column of run ids or names, tokens and loss"
            )
        curve = table.assign(run_id=table[label].astype(str), step=table["num_tokens"])
        curve = curve[[name for name in names if name in curve.columns]]
        return curve.sort_values(["run_id", "step"], ignore_index=True)
    if kind == "experiment":
        return _experiment_curves(str(place), tracking_uri, root)
    rows: list[dict[str, Any]] = []
    for run_id, run_dir, _ in _members(kind, Path(place), root):
        for point in points(read_journal(run_dir)):
            of_curve = curve_metrics(point).keys() | set(names)
            kept = {k: v for k, v in point.items() if k in of_curve}
            rows.append({**kept, "run_id": run_id})
    return pd.DataFrame(rows, columns=[*names, *_extra_columns(rows)])


def load_specs(
    source: Source, *, root: Source | None = None, tracking_uri: str | None = None
) -> list[dict[str, Any]]:
    """The resolved spec of each run of a sweep or run folder, in its order; of programs too.

    Empty for files and experiments, whose tables do not hold them.
    """
    kind, place = _locate(source, root, tracking_uri)
    if kind not in ("sweep", "run folder"):
        return []
    specs = (
        row.get("spec") or read_json(run_dir / SPEC) or {}
        for _, run_dir, row in _members(kind, Path(place), root)
    )
    return [dict(spec) for spec in specs if "program" in spec or {"family", "model"} <= set(spec)]


def load_models(
    source: Source, *, root: Source | None = None, tracking_uri: str | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """Family and resolved model fields of each run of a sweep or run folder, in its order.

    Fields that nothing in the model reads are left out.
    """
    models = []
    for spec in load_specs(source, root=root, tracking_uri=tracking_uri):
        if "model" not in spec:  # a program's
            continue
        run, model = RunSpec.from_dict(spec), spec["model"]
        unread = {option.name for option in run.unread(model)}
        models.append((run.family, {k: v for k, v in model.items() if k not in unread}))
    return models


def load_designs(
    source: Source, *, root: Source | None = None, tracking_uri: str | None = None
) -> dict[str, dict[str, Any]]:
    """The model of each run by ``run_id``, as plain values; of a program's run its options.

    Empty where only numbers are kept.
    """
    kind, place = _locate(source, root, tracking_uri)
    if kind not in ("sweep", "run folder"):
        return {}
    models = {}
    for run_id, run_dir, row in _members(kind, Path(place), root):
        spec = row.get("spec") or read_json(run_dir / SPEC) or {}
        models[run_id] = dict(spec.get("model", spec.get("options", {})))
    return models


def _locate(
    source: Source, root: Source | None, tracking_uri: str | None
) -> tuple[str, Path | str]:
    """What ``source`` is (``file``, ``sweep``, ``run folder``, ``experiment``) and where."""
    text = os.fspath(source)
    if tracking_uri is not None:
        return "experiment", text
    path = Path(text).expanduser()
    if path.is_file():
        return ("sweep", path) if path.name == SWEEP_FILE else ("file", path)
    if path.is_dir():
        if (path / SWEEP_FILE).is_file():
            return "sweep", path / SWEEP_FILE
        if any(path.glob(f"*/{SPEC}")) or any(path.glob(f"runs/*/{SPEC}")):
            return "run folder", path
        if (path / SPEC).is_file():
            return "run folder", path
        if tables_in(path):
            return "file", path
        raise ValueError(
            f"{path} is a folder without {SWEEP_FILE}, without runs ({SPEC}) and without tables; "
            f"name a sweep's folder or a file ({', '.join(TABLE_SUFFIXES)})"
        )
    store = Store.at(root)
    if is_table(path) or len(path.parts) > 1:
        raise FileNotFoundError(2, "No such file or directory", text)
    if sweep_path(store, text).is_file():
        return "sweep", sweep_path(store, text)
    if has_experiment(store.tracking_uri, text):
        return "experiment", text
    sweeps = known_sweeps(store)
    there = f"the sweeps there are {', '.join(sweeps)}" if sweeps else "there is no sweep there"
    raise ValueError(
        f"{text!r} is no file, no sweep under {store.root} ({there}) and no experiment in "
        f"{store.tracking_uri}"
    )


def _members(
    kind: str, place: Path, root: Source | None
) -> Iterable[tuple[str, Path, dict[str, Any]]]:
    """Run id, folder and planned columns of each run of a sweep or below a folder."""
    if kind == "sweep":
        home = place.parent.parent.parent if place.parent.parent.name == "sweeps" else None
        store = Store.at(root or home)
        for row in _sweep_rows(place):
            run_id = str(row["run_id"])
            yield run_id, store.run_dir(run_id), {"sweep": place.parent.name, **row}
        return
    specs = [place / SPEC] if (place / SPEC).is_file() else []
    for path in specs or sorted({*place.glob(f"*/{SPEC}"), *place.glob(f"runs/*/{SPEC}")}):
        spec = read_json(path)
        if spec is None:
            raise ValueError(f"{path}: not a JSON object; the run cannot be identified")
        yield path.parent.name, path.parent, read_any_spec(spec).columns()


def _sweep_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for number, row in numbered_rows(path):
            if "run_id" not in row:
                raise LineError(path, number, None)
            yield row
    except LineError as error:
        raise ValueError(f"{path}: line {error.number} is not a run of a sweep") from None


def _journal_rows(kind: str, place: Path | str, root: Source | None) -> list[dict[str, Any]]:
    rows = []
    for run_id, run_dir, planned in _members(kind, Path(place), root):
        row = {name: value for name, value in planned.items() if name not in _NO_COLUMNS}
        events = read_journal(run_dir)
        last = end(events)
        if last is not None:
            row.update({k: v for k, v in last.items() if k in COLUMNS or _is_extra(k, v)})
            row.update(trained_columns(planned, last, run_dir))
            row.update(evaluations(events))
        else:
            row["status"] = "running" if events else "planned"
        row["run_id"] = run_id
        devices = [event["device"] for event in events if event.get("device")]
        row["device"] = str(devices[-1]).partition(":")[0] if devices else ""
        why_not = _why_not(row["status"], (last or {}).get("reason"))
        row["exclude_reason"] = row.get("exclude_reason") or why_not
        rows.append(row)
    return rows


def _is_extra(name: str, value: Any) -> bool:
    """Whether a value of a run's end is a column that the schema does not know."""
    return name not in _KEPT_APART and isinstance(value, int | float)


def _extra_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What some row of a curve has beyond its columns: of further sets, or a program's own."""
    known = {column.name for column in CURVE_COLUMNS}
    return sorted({name for row in rows for name in row} - known)


def _why_not(status: object, reason: Any = None) -> str:
    """Why a run of this status cannot be used; empty for a finished one."""
    if status == "done":
        return ""
    words = {"planned": "not run yet", "running": "not finished"}
    return f"{status}: {reason or words[str(status)]}" if reason or status in words else str(status)


def _run_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of plain values as the run table: the schema's columns in its order, then others."""
    import pandas as pd

    known = [c.name for c in RUN_COLUMNS]
    names = [name for name in known if any(name in row for row in rows)]
    own = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    own.sort(key=lambda name: name if "/" in name else "")  # options as they come, then eval/...
    frame = pd.DataFrame(rows, columns=[*names, *own])
    for name in PLANNED_COLUMNS:
        if (planned := f"{name}_planned") in names:  # some stopped early, the others did not
            frame[planned] = frame[planned].fillna(frame[name])
    for name in names:
        if name in _NUMBERS:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
        else:
            frame[name] = frame[name].fillna("").astype(str)
    if "loss" not in frame.columns:
        frame["loss"] = float("nan")
    notes: list[str] = []
    frame = complete(frame, [])
    if len(frame):
        unused = frame[frame["exclude_reason"] != ""]
        for reason, group in unused.groupby("exclude_reason"):
            notes.append(f"{len(group)} of {len(frame)} runs not used: {reason}")
    else:
        notes.append("there are no runs")
    frame.attrs = {"notes": notes}
    return frame


def _experiment_runs(name: str, tracking_uri: str | None, root: Source | None) -> pd.DataFrame:
    rows = []
    for run in stored_runs(tracking_uri or Store.at(root).tracking_uri, name):
        tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
        row: dict[str, Any] = {"run_id": run.info.run_id, "name": run.info.run_name, "sweep": name}
        row["status"] = _STATUS.get(run.info.status, "failed")
        for column in _TEXTS:
            value = tags.get(f"scaling.{column}", params.get(column))
            if value is not None:
                row[column] = value
        for column in _NUMBERS:
            keys = (f"final/{column}", f"scale/{column}", column)
            value = next((metrics[key] for key in keys if key in metrics), params.get(column))
            if value is not None:
                row[column] = value
        row.update({k: v for k, v in metrics.items() if k.startswith(EVAL_PREFIX)})
        final = {k.removeprefix("final/"): v for k, v in metrics.items() if k.startswith("final/")}
        row.update({k: v for k, v in final.items() if k not in row and _is_extra(k, v)})
        row |= _options(params)
        tokens = metrics.get("final/tokens")
        if tokens is not None and "scale/num_tokens_planned" not in metrics:
            # It went to its end, or was shipped by a tracker of before.
            row.update(trained_columns({**row, "spec": spec_of(params)}, {"tokens": tokens}))
        why_not = _why_not(row["status"], tags.get("scaling.reason"))
        row["exclude_reason"] = row.get("exclude_reason") or why_not
        rows.append(row)
    return _run_table(rows)


def _options(params: Mapping[str, str]) -> dict[str, Any]:
    """The options of a program's run, as far as a table holds them."""
    texts = {k.removeprefix(_OPTIONS): v for k, v in params.items() if k.startswith(_OPTIONS)}
    values = {name: spec_of({"value": text})["value"] for name, text in texts.items()}
    return {name: v for name, v in values.items() if isinstance(v, str | int | float)}


_STATUS = {"FINISHED": "done", "RUNNING": "running", "SCHEDULED": "planned", "KILLED": "stopped"}


def _experiment_curves(name: str, tracking_uri: str | None, root: Source | None) -> pd.DataFrame:
    import pandas as pd

    names = [column.name for column in CURVE_COLUMNS]
    uri = tracking_uri or Store.at(root).tracking_uri
    runs = stored_runs(uri, name)
    client = connect(uri)
    rows: list[dict[str, Any]] = []
    for run in runs:
        by_step: dict[int, dict[str, Any]] = {}
        run_id = run.data.tags.get("scaling.run_id", run.info.run_id)
        there = run.data.metrics
        for column, metric in curve_metrics(there).items():
            # What kept weights were evaluated on is no part of the curve, and has no final value.
            ended = "final/tokens" in there and metric == column
            if metric in there and not (ended and f"final/{metric}" not in there):
                for point in client.get_metric_history(run.info.run_id, metric):
                    by_step.setdefault(point.step, {})[column] = point.value
        rows.extend({"run_id": run_id, "step": s, **by_step[s]} for s in sorted(by_step))
    return pd.DataFrame(rows, columns=[*names, *_extra_columns(rows)])
