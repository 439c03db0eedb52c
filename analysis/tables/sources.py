"""From where runs are kept to the run table: a file, a sweep's journals, an MLflow experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.experiments import experiment_curves, experiment_runs
from analysis.tables.options import differing, settings
from analysis.tables.reading import (
    Note,
    TableReading,
    flagged,
    read_table,
    refuse_faults,
    tables_in,
)
from analysis.tables.rows import extra_columns, is_extra, run_table, why_not
from analysis.tables.selection import select
from analysis.tables.show import RunTable
from analysis.tables.where import column_of
from scaling import (
    COLUMN_FLAGS,
    COLUMNS,
    CURVE_COLUMNS,
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
    damaged_lines,
    end,
    evaluations,
    known_sweeps,
    numbered_rows,
    points,
    read_journal,
    sweep_path,
    trained_columns,
)
from scaling.tracking import curve_metrics, has_experiment, masked

if TYPE_CHECKING:
    import pandas as pd

_NO_COLUMNS = (
    "spec",
    "resources",
    "keep",
    "policy",
    "point",
    "search",
)  # of a line of a sweep's file
Source = str | os.PathLike[str]


def load_runs(
    source: Source,
    *,
    root: Source | None = None,
    tracking_uri: str | None = None,
    where: str | None = None,
    columns: Mapping[str, str] | None = None,
    how: TableReading | None = None,
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
    how : TableReading, optional
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
    how = how or TableReading()
    if kind == "file":
        frame, ours = read_table(Path(place), columns, how), False
    elif kind == "experiment":
        uri = tracking_uri or Store.at(root).tracking_uri
        frame, ours = experiment_runs(uri, str(place), columns or {}, how)
    else:
        frame, ours = run_table(_journal_rows(kind, place, root)), True
        frame.attrs["notes"].extend(_damage(kind, Path(place), root))
    if ours:
        for name, column in (columns or {}).items():
            if column.isidentifier() and column not in frame.columns:
                refuse_unknown(column, map(str, frame.columns), f"column of {kind} {source}")
            if column != name:
                plainly = column in frame.columns
                frame[name] = (
                    frame[column]
                    if plainly
                    else column_of(frame, column, COLUMN_FLAGS.get(name, f"--col {name}="))
                )
                said = f"{name} is {f'the column {column!r}' if plainly else column}"
                frame.attrs["notes"].append(Note(said, name, taken=True))
    frame = select(frame, where, how)
    frame.attrs["notes"].extend(flagged(frame))
    return RunTable.of(frame)


def is_file(source: Source, *, root: Source | None = None, tracking_uri: str | None = None) -> bool:
    """Whether ``source`` is a table in files, whose rows are final losses as a rule."""
    return _locate(source, root, tracking_uri)[0] == "file"


def load_curves(
    source: Source,
    *,
    root: Source | None = None,
    tracking_uri: str | None = None,
    columns: Mapping[str, str] | None = None,
    how: TableReading | None = None,
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
        table = read_table(Path(place), columns, how or TableReading())
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
        return experiment_curves(tracking_uri or Store.at(root).tracking_uri, str(place))
    rows: list[dict[str, Any]] = []
    for run_id, run_dir, _ in _members(kind, Path(place), root):
        for point in points(read_journal(run_dir)):
            of_curve = curve_metrics(point).keys() | set(names)
            kept = {k: v for k, v in point.items() if k in of_curve}
            rows.append({**kept, "run_id": run_id})
    return pd.DataFrame(rows, columns=[*names, *extra_columns(rows)])


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
            f"name a sweep's folder or a file ({', '.join(TABLE_SUFFIXES)}), or take runs over by "
            "scaling import"
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
        f"{masked(store.tracking_uri)}"
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
        yield path.parent.name, path.parent, {**read_any_spec(spec).columns(), "spec": spec}


def _sweep_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for number, row in numbered_rows(path):
            if "run_id" not in row:
                raise LineError(path, number, None)
            yield row
    except LineError as error:
        raise ValueError(f"{path}: line {error.number} is not a run of a sweep") from None


def _damage(kind: str, place: Path, root: Source | None) -> list[str]:
    """That some runs' journals are damaged, if any are."""
    found = [run_id for run_id, run_dir, _ in _members(kind, place, root) if damaged_lines(run_dir)]
    if not found:
        return []
    listed = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    return [
        f"the journals of {len(found)} runs ({listed}) have damaged lines: their curves may lack "
        "points"
    ]


def _journal_rows(kind: str, place: Path | str, root: Source | None) -> list[dict[str, Any]]:
    rows = []
    members = list(_members(kind, Path(place), root))
    told = differing([settings(planned.get("spec") or {}) for _, _, planned in members])
    for (run_id, run_dir, planned), options in zip(members, told, strict=True):
        known = {name: value for name, value in planned.items() if name not in _NO_COLUMNS}
        row = options | known
        events = read_journal(run_dir)
        last = end(events)
        if last is not None:
            row.update({k: v for k, v in last.items() if k in COLUMNS or is_extra(k, v)})
            row.update(trained_columns(planned, last, run_dir))
            row.update(evaluations(events))
        else:
            row["status"] = "running" if events else "planned"
        row["run_id"] = run_id
        devices = [event["device"] for event in events if event.get("device")]
        row["device"] = str(devices[-1]).partition(":")[0] if devices else ""
        reason = why_not(row["status"], (last or {}).get("reason"))
        row["exclude_reason"] = row.get("exclude_reason") or reason
        rows.append(row)
    return rows
